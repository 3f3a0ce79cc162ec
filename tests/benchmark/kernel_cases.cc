#include "tests/benchmark/kernel_cases.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "parallel/kernels/activation.h"
#include "parallel/kernels/adamw.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cast.h"
#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/dropout.h"
#include "parallel/kernels/embedding.h"
#include "parallel/kernels/norm.h"
#include "parallel/kernels/rotary.h"
#include "parallel/kernels/sums.h"

namespace cloze {
namespace {

// scripts/measure/compare.yaml.
constexpr std::int64_t kHidden = 512;
constexpr std::int64_t kHeads = 8;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr std::int64_t kInner = 1376;
constexpr std::int64_t kRow = 512;  // Tokens.

using Floats = std::vector<float>;

// Numbers about zero that differ, with a period of 10007. Copied in blocks: under callgrind this
// is most of the time.
Floats numbers(std::int64_t count) {
  constexpr std::int64_t kPeriod = 10007;
  Floats values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < std::min(count, kPeriod); ++i) {
    values[static_cast<std::size_t>(i)] = std::sin(0.37F * static_cast<float>(i));
  }
  for (std::int64_t done = kPeriod; done < count; done *= 2) {
    std::copy_n(values.begin(), std::min(done, count - done), values.begin() + done);
  }
  return values;
}

double bytes_of(std::int64_t floats) { return 4.0 * static_cast<double>(floats); }

// What the cases of one call work on. The cases hold it together.
struct Inputs {
  explicit Inputs(const KernelSizes& made)
      : sizes(made),
        tokens(made.tokens),
        x(numbers(tokens * kHidden)),
        y(x),
        delta(x),
        sum(x),
        weight(numbers(kHidden)),
        dweight(kHidden),
        dbias(kHidden),
        mean(static_cast<std::size_t>(tokens)),
        rstd(static_cast<std::size_t>(tokens), 1.0F),
        inner(numbers(tokens * 2 * kInner)),
        dinner(inner),
        activated(numbers(tokens * kInner)),
        qkv(numbers(tokens * kQkv)),
        dqkv(qkv),
        qkv_bias(numbers(kQkv)),
        out(numbers(tokens * kHeads * kHeadDim)),
        dout(out),
        lse(static_cast<std::size_t>(tokens * kHeads)),
        scratch(static_cast<std::size_t>(tokens * kHeads)),
        logits(numbers(made.head_chunk * made.vocab)),
        of_row(static_cast<std::size_t>(made.head_chunk)),
        row_sum(static_cast<std::size_t>(made.head_chunk), 1.0F),
        table(numbers(made.vocab * kHidden)),
        master(numbers(made.flat)),
        gradient(numbers(made.flat)),
        first_moment(static_cast<std::size_t>(made.flat)),
        second_moment(static_cast<std::size_t>(made.flat)),
        narrow(static_cast<std::size_t>(made.flat)),
        rope(10000, kHeadDim / 2, kRow) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      ids.push_back(static_cast<std::int32_t>(t * 7919 % made.vocab));
      positions.push_back(static_cast<std::int32_t>(t % kRow));
      ordinals.push_back(t / kRow);
      lo.push_back(static_cast<std::int32_t>(t / kRow * kRow));
      hi.push_back(static_cast<std::int32_t>(t + 1));
    }
    shape = {.tokens = tokens,
             .heads = kHeads,
             .kv_heads = kKvHeads,
             .head_dim = kHeadDim,
             .q_stride = kQkv,
             .kv_stride = kQkv,
             .out_stride = kHeads * kHeadDim,
             .scale = 0.125};
    workspace.resize(static_cast<std::size_t>(attention_backward_workspace(shape)));
    dropout = {.p = 0.1,
               .seed = 1,
               .ordinals = ordinals.data(),
               .index_in_row = positions.data(),
               .hidden_total = kHidden};
  }

  const KernelSizes sizes;
  const std::int64_t tokens;
  Floats x, y, delta, sum, weight, dweight, dbias, mean, rstd;
  Floats inner, dinner, activated;
  Floats qkv, dqkv, qkv_bias, out, dout, lse, scratch, workspace;
  Floats logits, of_row, row_sum;
  Floats table, master, gradient, first_moment, second_moment;
  std::vector<BFloat16> narrow;
  RotaryTable<float> rope;
  std::vector<std::int32_t> ids, positions, lo, hi;
  std::vector<std::int64_t> ordinals;
  AttentionShape shape;
  DropoutKey dropout;
};

void add_norms(const std::shared_ptr<Inputs>& in, std::vector<KernelCase>& cases) {
  const std::int64_t n = in->tokens;
  cases.push_back({"rms_norm_forward", bytes_of(2 * n * kHidden), 0, [=] {
                     rms_norm_forward<float>(in->x.data(), in->weight.data(), in->y.data(),
                                             in->rstd.data(), n, kHidden, 1e-5);
                   }});
  cases.push_back({"rms_norm_forward_of_sum", bytes_of(4 * n * kHidden), 0, [=] {
                     rms_norm_forward<float>(in->x.data(), in->weight.data(), in->y.data(),
                                             in->rstd.data(), n, kHidden, 1e-5, in->delta.data(),
                                             in->sum.data());
                   }});
  cases.push_back({"rms_norm_backward", bytes_of(4 * n * kHidden), 0, [=] {
                     rms_norm_backward<float>(in->delta.data(), in->x.data(), in->weight.data(),
                                              in->rstd.data(), in->y.data(), in->dweight.data(), n,
                                              kHidden, in->sum.data());
                   }});
  cases.push_back({"layer_norm_forward", bytes_of(2 * n * kHidden), 0, [=] {
                     layer_norm_forward<float>(in->x.data(), in->weight.data(), in->dbias.data(),
                                               in->y.data(), in->mean.data(), in->rstd.data(), n,
                                               kHidden, 1e-5);
                   }});
  cases.push_back({"layer_norm_backward", bytes_of(4 * n * kHidden), 0, [=] {
                     layer_norm_backward<float>(in->delta.data(), in->x.data(), in->weight.data(),
                                                in->mean.data(), in->rstd.data(), in->y.data(),
                                                in->dweight.data(), in->dbias.data(), n, kHidden,
                                                in->sum.data());
                   }});
}

void add_feed_forward(const std::shared_ptr<Inputs>& in, std::vector<KernelCase>& cases) {
  const std::int64_t n = in->tokens;
  cases.push_back({"swiglu_forward", bytes_of(3 * n * kInner), 0, [=] {
                     swiglu_forward<float>(in->inner.data(), in->activated.data(), n, kInner);
                   }});
  cases.push_back({"swiglu_backward", bytes_of(5 * n * kInner), 0, [=] {
                     swiglu_backward<float>(in->activated.data(), in->inner.data(),
                                            in->dinner.data(), n, kInner);
                   }});
  cases.push_back(
      {"gelu_forward", bytes_of(2 * n * kInner), 0,
       [=] { gelu_forward<float>(in->activated.data(), nullptr, in->dinner.data(), n, kInner); }});
  cases.push_back({"gelu_backward", bytes_of(3 * n * kInner), 0, [=] {
                     gelu_backward<float>(in->activated.data(), in->inner.data(), nullptr,
                                          in->dinner.data(), n, kInner);
                   }});
  cases.push_back({"dropout_add", bytes_of(3 * n * kHidden), 0, [=] {
                     dropout_add<float>(in->x.data(), in->delta.data(), in->weight.data(),
                                        &in->dropout, in->y.data(), n, kHidden);
                   }});
  cases.push_back(
      {"dropout_backward", bytes_of(2 * n * kHidden), 0,
       [=] { dropout_backward<float>(in->delta.data(), &in->dropout, in->y.data(), n, kHidden); }});
}

void add_attention(const std::shared_ptr<Inputs>& in, std::vector<KernelCase>& cases) {
  const std::int64_t n = in->tokens;
  const float* q = in->qkv.data();
  const float* k = q + kHeads * kHeadDim;
  const float* v = k + kKvHeads * kHeadDim;
  float* dq = in->dqkv.data();
  float* dk = dq + kHeads * kHeadDim;
  float* dv = dk + kKvHeads * kHeadDim;
  // Two products forward, five backward, over the causal half.
  const double product = static_cast<double>(n) * (kRow + 1) * kHeads * kHeadDim;
  const auto forward = [=] {
    attention_forward<float>(in->shape, q, k, v, in->lo.data(), in->hi.data(), nullptr,
                             in->out.data(), in->lse.data());
  };
  forward();
  cases.push_back({"attention_forward", 0, 2 * product, forward});
  cases.push_back({"attention_backward", 0, 5 * product, [=] {
                     attention_backward<float>(in->shape, in->dout.data(), q, k, v, in->out.data(),
                                               in->lse.data(), in->lo.data(), in->hi.data(),
                                               nullptr, dq, dk, dv, in->workspace.data());
                   }});
  cases.push_back({"rotary", bytes_of(n * (kHeads + kKvHeads) * kHeadDim), 0, [=] {
                     rotary<float>(in->dqkv.data(), kQkv, n, kHeads + kKvHeads, kHeadDim,
                                   kHeadDim / 2, in->positions.data(), in->rope.cos.data(),
                                   in->rope.sin.data(), true, false);
                   }});
  cases.push_back({"add_bias", bytes_of(2 * n * kQkv), 0,
                   [=] { add_bias<float>(in->dqkv.data(), in->qkv_bias.data(), n, kQkv); }});
  cases.push_back({"bias_gradient", bytes_of(n * kQkv), 0,
                   [=] { bias_gradient<float>(in->qkv.data(), in->qkv_bias.data(), n, kQkv); }});
}

void add_ends(const std::shared_ptr<Inputs>& in, std::vector<KernelCase>& cases) {
  const std::int64_t n = in->tokens;
  // The gradient of a gradient of logits is as good an input as any: it stays finite.
  cases.push_back({"cross_entropy", bytes_of(2 * in->sizes.head_chunk * in->sizes.vocab), 0, [=] {
                     row_max<float>(in->logits.data(), in->sizes.vocab, in->sizes.head_chunk,
                                    in->sizes.vocab, in->of_row.data());
                     row_sums<float>(in->logits.data(), in->sizes.vocab, in->sizes.head_chunk,
                                     in->sizes.vocab, 0, in->ids.data(), in->of_row.data(),
                                     in->row_sum.data(), in->scratch.data());
                     softmax_gradient<float>(
                         in->logits.data(), in->sizes.vocab, in->sizes.head_chunk, in->sizes.vocab,
                         0, in->ids.data(), in->of_row.data(), in->row_sum.data(), in->rstd.data());
                   }});
  cases.push_back({"embedding_forward", bytes_of(2 * n * kHidden), 0, [=] {
                     embedding_forward<float>(in->table.data(), 0, in->sizes.vocab, in->ids.data(),
                                              in->y.data(), n, kHidden, false);
                   }});
  cases.push_back({"embedding_backward", bytes_of(3 * n * kHidden), 0, [=] {
                     embedding_backward<float>(in->x.data(), in->ids.data(), 0, in->sizes.vocab,
                                               in->table.data(), n, kHidden);
                   }});
  cases.push_back({"adamw", bytes_of(7 * in->sizes.flat), 0, [=] {
                     adamw<float, float>(in->master.data(), nullptr, in->gradient.data(),
                                         in->first_moment.data(), in->second_moment.data(),
                                         in->sizes.flat, {.lr = 1e-4, .weight_decay = 0.1});
                   }});
  cases.push_back({"sum_of_squares", bytes_of(in->sizes.flat), 0, [=] {
                     in->scratch[0] = static_cast<float>(
                         sum_of_squares<float>(in->gradient.data(), in->sizes.flat));
                   }});
  cases.push_back({"convert_to_bf16", bytes_of(in->sizes.flat) * 1.5, 0,
                   [=] { convert(in->gradient.data(), in->narrow.data(), in->sizes.flat); }});
  cases.push_back({"ordered_sum", bytes_of(3 * in->sizes.flat), 0, [=] {
                     const float* const parts[] = {in->gradient.data(), in->master.data()};
                     ordered_sum<float>(parts, 2, in->first_moment.data(), in->sizes.flat);
                   }});
}

}  // namespace

std::vector<KernelCase> kernel_cases(const KernelSizes& sizes) {
  const auto in = std::make_shared<Inputs>(sizes);
  std::vector<KernelCase> cases;
  add_norms(in, cases);
  add_feed_forward(in, cases);
  add_attention(in, cases);
  add_ends(in, cases);
  return cases;
}

}  // namespace cloze
