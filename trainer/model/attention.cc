#include "trainer/model/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "parallel/base/check.h"
#include "parallel/kernels/attention.h"
#include "parallel/pass/dtype_dispatch.h"
#include "trainer/model/sites.h"

namespace cloze {
namespace {

ColumnParallelLinearOptions qkv_options(const AttentionOptions& options, int tensor_ranks) {
  const int replicas =
      static_cast<int>(std::max<std::int64_t>(1, tensor_ranks / options.num_kv_heads));
  const std::int64_t kv_features = options.num_kv_heads * options.head_dim;
  return {.parts = {{.name = options.name + ".q_proj",
                     .out_features = options.num_heads * options.head_dim,
                     .weight_site = site::kQueryWeight,
                     .bias_site = site::kQueryBias},
                    {.name = options.name + ".k_proj",
                     .out_features = kv_features,
                     .weight_site = site::kKeyWeight,
                     .bias_site = site::kKeyBias,
                     .replicas = replicas},
                    {.name = options.name + ".v_proj",
                     .out_features = kv_features,
                     .weight_site = site::kValueWeight,
                     .bias_site = site::kValueBias,
                     .replicas = replicas}},
          .in_features = options.hidden_size,
          .layer = options.layer + 1,
          .initial_std = options.initial_std,
          .bias = options.qkv_bias};
}

RowParallelLinearOptions output_options(const AttentionOptions& options) {
  return {.name = options.name + ".o_proj",
          .in_features = options.num_heads * options.head_dim,
          .out_features = options.hidden_size,
          .layer = options.layer + 1,
          .weight_site = site::kAttentionOutputWeight,
          .bias_site = site::kAttentionOutputBias,
          .initial_std = options.output_initial_std,
          .bias = options.output_bias};
}

}  // namespace

template <typename Number>
RotaryTables::Table<Number>::Table(RotaryTable<Number> values, at::Device device)
    : host(std::move(values)), angles{host.cos.data(), host.sin.data()} {
  if (device.is_cpu()) return;
  const auto size = static_cast<std::int64_t>(host.cos.size());
  const auto blob = [&](std::vector<Number>& numbers) {
    return at::from_blob(numbers.data(), {size}, c10::CppTypeToScalarType<Number>::value);
  };
  copy = at::stack({blob(host.cos), blob(host.sin)}).to(device);
  angles.cos = copy.const_data_ptr<Number>();
  angles.sin = angles.cos + size;
}

RotaryTables::RotaryTables(double theta, std::int64_t rotary_dim, std::int64_t max_position,
                           at::Device device)
    : single_({theta, rotary_dim, max_position}, device),
      exact_({theta, rotary_dim, max_position}, device) {}

Attention::Attention(ParameterTable& table, AttentionOptions options, const RotaryTables* rotary,
                     TensorParallel tp)
    : options_(std::move(options)),
      rotary_(rotary),
      tp_(tp),
      heads_(options_.num_heads / tp.size()),
      kv_heads_(std::max<std::int64_t>(1, options_.num_kv_heads / tp.size())),
      qkv_(table, qkv_options(options_, tp.size()), tp),
      output_(table, output_options(options_), tp) {
  CLOZE_CHECK(options_.num_heads % tp.size() == 0 && (options_.num_kv_heads % tp.size() == 0 ||
                                                      tp.size() % options_.num_kv_heads == 0),
              str(options_.name, ": ", options_.num_heads, " heads and ", options_.num_kv_heads,
                  " key/value heads cannot be cut over ", tp.size(), " ranks"),
              "choose a parallel.tensor that divides the heads, and divides the key/value heads "
              "or is a multiple of them");
}

void Attention::rotate(at::Tensor& qkv, const Microbatch& microbatch, bool inverse) const {
  if (options_.rotary_dim == 0) return;
  with_type(qkv.scalar_type(), [&]<typename T>() {
    const auto& angles = rotary_->of<Accumulator<T>>();
    // q's heads and k's heads lie side by side.
    tp_.kernels.of<T>().rotary(data_of<T>(qkv), qkv.size(1), qkv.size(0), heads_ + kv_heads_,
                               options_.head_dim, options_.rotary_dim,
                               microbatch.arrays().rotary_position, angles.cos, angles.sin,
                               /*interleaved=*/true, inverse);
  });
}

namespace {

// How one call of the kernel sees this rank's q|k|v rows.
struct Call {
  AttentionShape shape;
  std::optional<AttentionDropout> dropout;
  std::int64_t k_offset;
  std::int64_t v_offset;

  const AttentionDropout* dropout_or_null() const { return dropout ? &*dropout : nullptr; }
};

Call make_call(const Pass& pass, const AttentionOptions& options, const TensorParallel& tp,
               std::int64_t heads, std::int64_t kv_heads, const Microbatch& microbatch) {
  Call call{};
  const std::int64_t stride = (heads + 2 * kv_heads) * options.head_dim;
  call.shape.tokens = microbatch.num_tokens();
  call.shape.heads = heads;
  call.shape.kv_heads = kv_heads;
  call.shape.head_dim = options.head_dim;
  call.shape.q_stride = stride;
  call.shape.kv_stride = stride;
  call.shape.out_stride = heads * options.head_dim;
  call.shape.samples = microbatch.samples();
  call.shape.scale = 1.0 / std::sqrt(static_cast<double>(options.head_dim));
  call.k_offset = heads * options.head_dim;
  call.v_offset = (heads + kv_heads) * options.head_dim;
  if (pass.training && options.dropout > 0) {
    AttentionDropout dropout{};
    dropout.p = options.dropout;
    dropout.seed = pass.seed;
    dropout.layer = options.layer;
    dropout.ordinals = microbatch.arrays().ordinals;
    dropout.index_in_row = microbatch.arrays().index_in_row;
    dropout.first_head = heads * tp.rank();
    dropout.seq_length = microbatch.seq_length();
    call.dropout = dropout;
  }
  return call;
}

}  // namespace

at::Tensor Attention::forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& x) const {
  at::Tensor qkv = qkv_.forward(pass, x);
  rotate(qkv, microbatch, /*inverse=*/false);
  Call call = make_call(pass, options_, tp_, heads_, kv_heads_, microbatch);
  at::Tensor cached;  // Keys and values, those of earlier tokens too.
  if (pass.cache != nullptr) {
    const std::int64_t kv_features = 2 * kv_heads_ * options_.head_dim;
    cached = pass.cache->append(options_.layer, qkv.narrow(1, call.k_offset, kv_features));
    call.shape.kv_tokens = cached.size(0);
    call.shape.kv_stride = cached.size(1);
  }
  const auto accumulator = qkv.options().dtype(accumulator_of(qkv.scalar_type()));
  at::Tensor out = at::empty({qkv.size(0), heads_ * options_.head_dim}, qkv.options());
  at::Tensor lse = at::empty({heads_, qkv.size(0)}, accumulator);
  with_type(qkv.scalar_type(), [&]<typename T>() {
    const T* queries = data_of<const T>(qkv);
    const T* keys = cached.defined() ? data_of<const T>(cached) : queries + call.k_offset;
    tp_.kernels.of<T>().attention_forward(
        call.shape, queries, keys, keys + call.v_offset - call.k_offset, microbatch.arrays().lo,
        microbatch.arrays().hi, call.dropout_or_null(), data_of<T>(out),
        data_of<Accumulator<T>>(lse));
  });
  if (pass.cache == nullptr) pass.stash.push({qkv, out, lse});
  return output_.forward(pass, out);
}

at::Tensor Attention::backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy,
                               const at::Tensor& x) const {
  const auto [qkv, out, lse] = pass.stash.pop<3>();
  const at::Tensor dout = output_.backward(pass, dy, out);
  const Call call = make_call(pass, options_, tp_, heads_, kv_heads_, microbatch);
  at::Tensor dqkv = at::empty_like(qkv);
  with_type(qkv.scalar_type(), [&]<typename T>() {
    using Sum = Accumulator<T>;
    const T* rows = data_of<const T>(qkv);
    T* gradients = data_of<T>(dqkv);
    at::Tensor workspace =
        at::empty({tp_.kernels.attention_backward_workspace(call.shape)}, lse.options());
    tp_.kernels.of<T>().attention_backward(
        call.shape, data_of<const T>(dout), rows, rows + call.k_offset, rows + call.v_offset,
        data_of<const T>(out), data_of<const Sum>(lse), microbatch.arrays().lo,
        microbatch.arrays().hi, call.dropout_or_null(), gradients, gradients + call.k_offset,
        gradients + call.v_offset, data_of<Sum>(workspace));
  });
  rotate(dqkv, microbatch, /*inverse=*/true);
  return qkv_.backward(pass, dqkv, x);
}

}  // namespace cloze
