// Attention by samples in one or two calls of LibTorch's FlashAttention, on the simulated
// accelerator, whose two operators are written here from their definition: which tokens each call
// gets, what it sees and where its results go, against the CPU's kernel of intervals.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/gpu/flash_attention.h"
#include "parallel/kernels/test_values.h"
#include "parallel/pass/device_writer.h"
#include "parallel/pass/dtype_dispatch.h"
#include "tests/parity/layout_run.h"
#include "tests/support/simulated_accelerator.h"
#include "trainer/model/microbatch.h"

namespace cloze {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): operators are no objects.
int forward_calls = 0;

// A tensor of the device in double, on the host.
at::Tensor wide(const at::Tensor& tensor) { return tensor.cpu().to(at::kDouble); }

std::vector<std::int64_t> offsets_of(const at::Tensor& offsets) {
  const at::Tensor host = offsets.cpu().to(at::kLong);
  const auto* const data = host.const_data_ptr<std::int64_t>();
  return {data, data + host.numel()};
}

// The probabilities [heads, queries, keys] of sample `b`, and keys and values for each query head.
struct SampleScores {
  at::Tensor q, k, v;
  at::Tensor scores;  // Scaled; -infinity where a query does not see a key.
};

SampleScores scores_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal,
                       double scale) {
  const std::int64_t group = q.size(1) / k.size(1);
  SampleScores made{.q = q.transpose(0, 1),
                    .k = k.transpose(0, 1).repeat_interleave(group, 0),
                    .v = v.transpose(0, 1).repeat_interleave(group, 0),
                    .scores = {}};
  made.scores = at::matmul(made.q, made.k.transpose(1, 2)) * scale;
  if (causal) {
    // The last query sees the last key.
    const at::Tensor sees = at::ones({q.size(0), k.size(0)}, at::kBool).tril(k.size(0) - q.size(0));
    made.scores =
        made.scores.masked_fill(sees.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return made;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> flash_forward(
    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const std::optional<at::Tensor>& q_offsets, const std::optional<at::Tensor>& k_offsets,
    std::int64_t longest_q, std::int64_t longest_k, double, bool causal, bool,
    std::optional<double> scale, std::optional<std::int64_t>, std::optional<std::int64_t>,
    const std::optional<at::Tensor>&, const std::optional<at::Tensor>&) {
  ++forward_calls;
  const at::Tensor q = wide(query), k = wide(key), v = wide(value);
  const auto of_q = offsets_of(*q_offsets);
  const auto of_k = offsets_of(*k_offsets);
  at::Tensor out = at::zeros(q.sizes(), at::kDouble);
  at::Tensor lse = at::zeros({q.size(1), q.size(0)}, at::kDouble);
  for (std::size_t b = 0; b + 1 < of_q.size(); ++b) {
    const std::int64_t queries = of_q[b + 1] - of_q[b];
    const std::int64_t keys = of_k[b + 1] - of_k[b];
    TORCH_CHECK(queries <= longest_q && keys <= longest_k, "a sample is longer than was said");
    const SampleScores sample = scores_of(q.narrow(0, of_q[b], queries), k.narrow(0, of_k[b], keys),
                                          v.narrow(0, of_k[b], keys), causal, *scale);
    out.narrow(0, of_q[b], queries)
        .copy_(at::matmul(sample.scores.softmax(-1), sample.v).transpose(0, 1));
    lse.narrow(1, of_q[b], queries).copy_(sample.scores.logsumexp(-1));
  }
  const at::Tensor none = at::empty({0}, query.options());
  return {out.to(query.scalar_type()).to(query.device()), lse.to(at::kFloat).to(query.device()),
          none, none, none};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_backward(
    const at::Tensor& grad_out, const at::Tensor& query, const at::Tensor& key,
    const at::Tensor& value, const at::Tensor& out, const at::Tensor& lse,
    const at::Tensor& q_offsets, const at::Tensor& k_offsets, std::int64_t, std::int64_t, double,
    bool causal, const at::Tensor&, const at::Tensor&, std::optional<double> scale,
    std::optional<std::int64_t>, std::optional<std::int64_t>) {
  TORCH_CHECK(at::globalContext().deterministicAlgorithms(), "sums in any order were allowed");
  const at::Tensor q = wide(query), k = wide(key), v = wide(value);
  const at::Tensor dout = wide(grad_out), o = wide(out), sums = wide(lse);
  const auto of_q = offsets_of(q_offsets);
  const auto of_k = offsets_of(k_offsets);
  at::Tensor dq = at::zeros_like(q), dk = at::zeros_like(k), dv = at::zeros_like(v);
  const std::int64_t kv_heads = k.size(1);
  for (std::size_t b = 0; b + 1 < of_q.size(); ++b) {
    const std::int64_t queries = of_q[b + 1] - of_q[b];
    const std::int64_t keys = of_k[b + 1] - of_k[b];
    const SampleScores sample = scores_of(q.narrow(0, of_q[b], queries), k.narrow(0, of_k[b], keys),
                                          v.narrow(0, of_k[b], keys), causal, *scale);
    const at::Tensor p = (sample.scores - sums.narrow(1, of_q[b], queries).unsqueeze(-1)).exp();
    const at::Tensor g = dout.narrow(0, of_q[b], queries).transpose(0, 1);
    const at::Tensor delta = (g * o.narrow(0, of_q[b], queries).transpose(0, 1)).sum(-1, true);
    const at::Tensor ds = p * (at::matmul(g, sample.v.transpose(1, 2)) - delta) * *scale;
    // Query heads that share a key head add their gradients.
    const auto of_heads = [&](const at::Tensor& each) {
      return each.view({kv_heads, -1, keys, each.size(-1)}).sum(1).transpose(0, 1);
    };
    dq.narrow(0, of_q[b], queries).copy_(at::matmul(ds, sample.k).transpose(0, 1));
    dk.narrow(0, of_k[b], keys).copy_(of_heads(at::matmul(ds.transpose(1, 2), sample.q)));
    dv.narrow(0, of_k[b], keys).copy_(of_heads(at::matmul(p.transpose(1, 2), g)));
  }
  const auto back = [&](const at::Tensor& gradient) {
    return gradient.to(query.scalar_type()).to(query.device());
  };
  return {back(dq), back(dk), back(dv)};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("_flash_attention_forward", &flash_forward);
  library.impl("_flash_attention_backward", &flash_backward);
}

struct Heads {
  std::int64_t heads, kv_heads, head_dim;
};

constexpr Heads kHeads{.heads = 4, .kv_heads = 2, .head_dim = 16};

// q|k|v [tokens, features] and what attention makes of them.
template <class T>
struct Attended {
  std::vector<T> out, dqkv;
  std::vector<float> lse;
};

template <class T>
Attended<T> attend(const Kernels& kernels, const Microbatch& microbatch, const std::vector<T>& qkv,
                   const std::vector<T>& dout) {
  const std::int64_t tokens = microbatch.num_tokens();
  const std::int64_t stride = (kHeads.heads + 2 * kHeads.kv_heads) * kHeads.head_dim;
  const AttentionShape shape{.tokens = tokens,
                             .heads = kHeads.heads,
                             .kv_heads = kHeads.kv_heads,
                             .head_dim = kHeads.head_dim,
                             .q_stride = stride,
                             .kv_stride = stride,
                             .out_stride = kHeads.heads * kHeads.head_dim,
                             .scale = 0.25,
                             .samples = microbatch.samples()};
  Attended<T> made;
  made.out.resize(static_cast<std::size_t>(tokens * shape.out_stride));
  made.dqkv.resize(qkv.size());
  made.lse.resize(static_cast<std::size_t>(tokens * kHeads.heads));
  const std::int64_t k = kHeads.heads * kHeads.head_dim;
  const std::int64_t v = k + kHeads.kv_heads * kHeads.head_dim;
  std::vector<float> workspace(
      static_cast<std::size_t>(cpu_kernels().attention_backward_workspace(shape)));
  const TokenArrays& arrays = microbatch.arrays();
  const KernelTable<T>& table = kernels.of<T>();
  table.attention_forward(shape, qkv.data(), qkv.data() + k, qkv.data() + v, arrays.lo, arrays.hi,
                          nullptr, made.out.data(), made.lse.data());
  table.attention_backward(shape, dout.data(), qkv.data(), qkv.data() + k, qkv.data() + v,
                           made.out.data(), made.lse.data(), arrays.lo, arrays.hi, nullptr,
                           made.dqkv.data(), made.dqkv.data() + k, made.dqkv.data() + v,
                           workspace.data());
  return made;
}

// Largest difference where the batch's tokens are; what padding gets is nobody's.
template <class Values>
double difference(const Values& a, const Values& b, const Batch& batch, std::int64_t features) {
  double most = 0;
  for (std::int64_t token = 0; token < batch.num_tokens(); ++token) {
    if (batch.lo[token] >= batch.hi[token]) continue;
    for (std::int64_t i = token * features; i < (token + 1) * features; ++i) {
      const auto at = static_cast<std::size_t>(i);
      most = std::max(most, std::abs(static_cast<double>(static_cast<float>(a[at])) -
                                     static_cast<double>(static_cast<float>(b[at]))));
    }
  }
  return most;
}

template <class T>
void expect_the_cpus_attention(const Batch& batch, int calls) {
  const Kernels flash = with_flash_attention(cpu_kernels(), simulated_accelerator(), 132);
  const DeviceWriter writer(simulated_accelerator());
  const Microbatch on_device(batch, &writer);
  const Microbatch on_host(batch);
  ASSERT_NE(on_device.samples(), nullptr);
  const std::int64_t features = (kHeads.heads + 2 * kHeads.kv_heads) * kHeads.head_dim;
  const std::int64_t outputs = kHeads.heads * kHeads.head_dim;
  const std::vector<T> qkv = normals<T>(batch.num_tokens() * features, 1);
  std::vector<T> dout = normals<T>(batch.num_tokens() * outputs, 2);
  for (std::int64_t token = 0; token < batch.num_tokens(); ++token) {
    if (batch.lo[token] < batch.hi[token]) continue;
    std::fill_n(dout.begin() + token * outputs, outputs, T(0.0F));  // Of padding comes nothing.
  }
  forward_calls = 0;
  const Attended<T> found = attend(flash, on_device, qkv, dout);
  EXPECT_EQ(forward_calls, calls);
  const Attended<T> expected = attend(cpu_kernels(), on_host, qkv, dout);
  // Some roundings of 16 bits of values up to 4, gradients up to 8.
  const double tolerance = std::is_same_v<T, BFloat16> ? 0.06 : 0.008;
  EXPECT_LT(difference(found.out, expected.out, batch, outputs), tolerance);
  EXPECT_LT(difference(found.dqkv, expected.dqkv, batch, features), tolerance);
  for (std::int64_t head = 0; head < kHeads.heads; ++head) {
    const auto of_head = [&](const std::vector<float>& lse) {
      const auto first = lse.begin() + head * batch.num_tokens();
      return std::vector<float>(first, first + batch.num_tokens());
    };
    EXPECT_LT(difference(of_head(found.lse), of_head(expected.lse), batch, 1), 1e-4);
  }
}

// Packed rows of several documents and paddings, of blanks to fill and of plain text.
TEST(FlashAttentionCallsTest, GiveWhatTheCpusKernelOfIntervalsGives) {
  for (const bool causal : {false, true}) {
    config::Run run = small_run(config::Model::glm4, config::Precision::bf16);
    run.mutable_batch()->set_micro_size(3);
    run.mutable_batch()->set_global_size(9);
    Batch batch = sampled_batches(run)(run, {.tensor = 2}, {}, 0).front();
    if (causal) {
      // Each token sees its document up to itself.
      for (std::int64_t token = 0; token < batch.num_tokens(); ++token) {
        if (batch.lo[token] < batch.hi[token]) {
          batch.hi[token] = static_cast<std::int32_t>(token) + 1;
        }
      }
    }
    SCOPED_TRACE(causal ? "causal" : "blank infilling");
    expect_the_cpus_attention<BFloat16>(batch, causal ? 1 : 2);
    expect_the_cpus_attention<Float16>(batch, causal ? 1 : 2);
  }
}

}  // namespace
}  // namespace cloze
