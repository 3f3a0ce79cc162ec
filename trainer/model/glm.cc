#include "trainer/model/glm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"
#include "trainer/model/sites.h"

namespace cloze {
namespace {

bool is_glm2021(const config::Model& model) { return model.family() == config::Model::glm2021; }

NormOptions norm_options(const config::Model& model, std::string name, std::uint32_t layer,
                         std::uint32_t weight_site, std::uint32_t bias_site) {
  return {.kind = is_glm2021(model) ? NormKind::kLayer : NormKind::kRms,
          .name = std::move(name),
          .hidden_size = model.hidden_size(),
          .eps = model.norm_eps(),
          .layer = layer,
          .weight_site = weight_site,
          .bias_site = bias_site};
}

std::int64_t rotary_dim(const config::Model& model) {
  if (is_glm2021(model)) return 0;
  return static_cast<std::int64_t>(static_cast<double>(model.head_dim()) *
                                   model.partial_rotary_factor());
}

BlockOptions block_options(const config::Model& model, std::int64_t layer, Recompute recompute) {
  const bool glm2021 = is_glm2021(model);
  const std::string name = str("model.layers.", layer);
  const auto number = static_cast<std::uint32_t>(layer);
  const double std = model.initializer_range();
  // The 2021 model starts the two projections into the residual stream smaller (GPT-2's rule).
  const double output_std =
      glm2021 ? std / std::sqrt(2.0 * static_cast<double>(model.num_hidden_layers())) : std;
  BlockOptions options{
      .layer = number,
      .hidden_size = model.hidden_size(),
      .input_norm = norm_options(model, name + ".input_layernorm", number + 1,
                                 site::kInputNormWeight, site::kInputNormBias),
      .attention = {.name = name + ".self_attn",
                    .layer = number,
                    .hidden_size = model.hidden_size(),
                    .num_heads = model.num_attention_heads(),
                    .num_kv_heads = model.num_key_value_heads(),
                    .head_dim = model.head_dim(),
                    .qkv_bias = glm2021 || model.attention_bias(),
                    .output_bias = glm2021,
                    .rotary_dim = rotary_dim(model),
                    .dropout = model.attention_dropout(),
                    .initial_std = std,
                    .output_initial_std = output_std},
      .post_attention_norm =
          norm_options(model, name + ".post_attention_layernorm", number + 1,
                       site::kPostAttentionNormWeight, site::kPostAttentionNormBias),
      .feed_forward = {.name = name + ".mlp",
                       .layer = number,
                       .activation = glm2021 ? Activation::kGeluTanh : Activation::kSwiGlu,
                       .hidden_size = model.hidden_size(),
                       .intermediate_size = model.intermediate_size(),
                       .recompute_activation = recompute == Recompute::kSelective,
                       .initial_std = std,
                       .output_initial_std = output_std},
      .output_dropout = model.output_dropout(),
      .recompute = recompute};
  return options;
}

}  // namespace

int kv_replicas(const config::Model& model, int tensor_degree) {
  return static_cast<int>(std::max<std::int64_t>(1, tensor_degree / model.num_key_value_heads()));
}

bool has_tied_head(const config::Model& model) {
  return is_glm2021(model) || model.tie_word_embeddings();
}

Glm::Glm(ParameterTable& table, const config::Model& model, Recompute recompute,
         std::int64_t max_position, StagePart part, TensorParallel tp)
    : part_(part), tp_(tp) {
  const bool tied = has_tied_head(model);
  const std::int64_t rotated = rotary_dim(model);
  if (rotated > 0) {
    rotary_ = std::make_unique<RotaryTables>(model.rope_theta(), rotated, max_position,
                                             tp.group.device());
  }
  const VocabParallelEmbeddingOptions tokens{.name = "model.embed_tokens",
                                             .vocab_size = model.vocab_size(),
                                             .hidden_size = model.hidden_size(),
                                             .weight_site = site::kTokenEmbedding,
                                             .initial_std = model.initializer_range()};
  if (part.first) {
    // One row more than positions: the published tables have it.
    const std::int64_t positions = is_glm2021(model) ? model.max_position_embeddings() + 1 : 0;
    embedding_.emplace(
        table,
        EmbeddingOptions{
            .tokens = tokens, .num_positions = positions, .dropout = model.embedding_dropout()},
        tp);
    if (tied) tied_embedding_ = &embedding_->weight();
  }
  for (std::int64_t layer = part.layers.first; layer < part.layers.last; ++layer) {
    blocks_.push_back(
        std::make_unique<Block>(table, block_options(model, layer, recompute), rotary_.get(), tp));
  }
  if (part.last) {
    final_norm_.emplace(
        table, norm_options(model, "model.norm", 0, site::kFinalNormWeight, site::kFinalNormBias),
        tp);
    if (tied) {
      tied_head_ = &table.add_copy(vocab_spec(tokens, tp), tied_embedding_);
      head_.emplace(*tied_head_, tp);
    } else {
      VocabParallelEmbeddingOptions head = tokens;
      head.name = "lm_head";
      head.weight_site = site::kHead;
      head_.emplace(table.add({vocab_spec(head, tp)}), tp);
    }
  }
}

at::Tensor Glm::forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& input) const {
  at::Tensor x = part_.first ? embedding_->forward(pass, microbatch) : input;
  for (const auto& block : blocks_) x = block->forward(pass, microbatch, x);
  return x;
}

at::Tensor Glm::backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const {
  at::Tensor dx = dy;
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
    dx = (*block)->backward(pass, microbatch, dx);
  }
  if (!part_.first) return dx;
  embedding_->backward(pass, microbatch, dx);
  return {};
}

TargetLosses Glm::forward_loss(Pass& pass, const Microbatch& microbatch, const at::Tensor& x,
                               double loss_weight) const {
  Norm::Statistics statistics;
  const at::Tensor normed = final_norm_->forward(x, statistics);
  TargetLosses losses = head_->forward(pass, normed, microbatch.targets(), loss_weight);
  pass.stash.push({x, statistics.mean, statistics.rstd});
  return losses;
}

at::Tensor Glm::backward_loss(Pass& pass) const {
  const auto [x, mean, rstd] = pass.stash.pop<3>();
  const at::Tensor dnormed = head_->backward(pass);
  return final_norm_->backward(pass, dnormed, x, {mean, rstd}, at::Tensor());
}

at::Tensor Glm::logits(const at::Tensor& x) const {
  Norm::Statistics statistics;
  return head_->logits(gather_tokens(final_norm_->forward(x, statistics), tp_).wait());
}

}  // namespace cloze
