// Each kernel beside the LibTorch operations that give the same, and beside what bounds it: how
// fast this machine copies and multiplies.
//   cloze_kernels_benchmark --benchmark_format=json       kernel/NAME, libtorch/NAME, bound/copy,
//                                                         bound/product
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <c10/core/GradMode.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/pass/caching_allocator.h"
#include "parallel/pass/product.h"
#include "tests/benchmark/kernel_cases.h"

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 2048;
constexpr std::int64_t kRows = 4;  // Of 512 tokens.
constexpr std::int64_t kHidden = 512;
constexpr std::int64_t kInner = 1376;
constexpr std::int64_t kHeads = 8;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kVocab = 32000;
constexpr std::int64_t kHeadChunk = KernelSizes{}.head_chunk;
constexpr std::int64_t kFlat = 1 << 22;

using Call = std::function<void()>;

// The gradients of `output` to `inputs`, as a user of LibTorch gets them.
Call gradients_of(const std::function<at::Tensor()>& forward,
                  const std::vector<at::Tensor>& leaves) {
  const at::Tensor output = forward();
  const at::Tensor gradient = at::ones_like(output);
  return [=] {
    // A gradient that is there would be added to.
    for (const at::Tensor& leaf : leaves) leaf.mutable_grad().reset();
    output.backward(gradient, /*retain_graph=*/true);
  };
}

at::Tensor leaf(at::IntArrayRef shape) { return at::randn(shape).requires_grad_(true); }

void add_norms(std::map<std::string, Call>& calls) {
  const at::Tensor x = leaf({kTokens, kHidden});
  const at::Tensor delta = at::randn({kTokens, kHidden});
  const at::Tensor weight = leaf({kHidden});
  calls["rms_norm_forward"] = [=] {
    const c10::NoGradGuard guard;
    at::rms_norm(x, {kHidden}, weight, 1e-5);
  };
  calls["rms_norm_forward_of_sum"] = [=] {
    const c10::NoGradGuard guard;
    at::rms_norm(x + delta, {kHidden}, weight, 1e-5);
  };
  // The sum with the residual's gradient is left out: it would be another operation.
  calls["rms_norm_backward"] =
      gradients_of([=] { return at::rms_norm(x, {kHidden}, weight, 1e-5); }, {x, weight});
  const at::Tensor bias = leaf({kHidden});
  const auto layer_norm = [=] { return at::layer_norm(x, {kHidden}, weight, bias, 1e-5); };
  calls["layer_norm_forward"] = [=] {
    const c10::NoGradGuard guard;
    layer_norm();
  };
  calls["layer_norm_backward"] = gradients_of(layer_norm, {x, weight, bias});
}

void add_feed_forward(std::map<std::string, Call>& calls) {
  const at::Tensor inner = leaf({kTokens, 2 * kInner});
  const auto swiglu = [=] {
    const auto halves = inner.chunk(2, 1);
    return at::silu(halves[0]) * halves[1];
  };
  calls["swiglu_forward"] = [=] {
    const c10::NoGradGuard guard;
    swiglu();
  };
  calls["swiglu_backward"] = gradients_of(swiglu, {inner});
  const at::Tensor x = at::randn({kTokens, kInner});
  calls["gelu_forward"] = [=] { at::gelu(x, "tanh"); };
  const at::Tensor dout = at::randn({kTokens, kInner});
  calls["gelu_backward"] = [=] { at::gelu_backward(dout, x, "tanh"); };
  const at::Tensor residual = at::randn({kTokens, kHidden});
  const at::Tensor y = at::randn({kTokens, kHidden});
  const at::Tensor bias = at::randn({kHidden});
  calls["dropout_add"] = [=] { residual + at::dropout(y + bias, 0.1, /*train=*/true); };
  const at::Tensor kept = at::rand({kTokens, kHidden}) >= 0.1;
  calls["dropout_backward"] = [=] { at::native_dropout_backward(y, kept, 1 / 0.9); };
}

void add_attention(std::map<std::string, Call>& calls) {
  const at::Tensor q = leaf({kRows, kHeads, kTokens / kRows, kHeadDim});
  const at::Tensor k = leaf({kRows, kKvHeads, kTokens / kRows, kHeadDim});
  const at::Tensor v = leaf({kRows, kKvHeads, kTokens / kRows, kHeadDim});
  // As transformers calls it: key/value heads are shared inside of SDPA.
  const auto attention = [=] {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true, std::nullopt,
                                            /*enable_gqa=*/true);
  };
  calls["attention_forward"] = [=] {
    const c10::NoGradGuard guard;
    attention();
  };
  calls["attention_backward"] = gradients_of(attention, {q, k, v});
  const at::Tensor heads = at::randn({kTokens, kHeads + kKvHeads, kHeadDim});
  const at::Tensor cos = at::randn({kTokens, 1, kHeadDim / 2});
  const at::Tensor sin = at::randn({kTokens, 1, kHeadDim / 2});
  calls["rotary"] = [=] {
    const at::Tensor turned = heads.narrow(2, 0, kHeadDim / 2);
    const auto pairs = turned.reshape({kTokens, kHeads + kKvHeads, kHeadDim / 4, 2}).unbind(3);
    const at::Tensor half = at::stack({-pairs[1], pairs[0]}, 3).flatten(2);
    at::cat({turned * cos + half * sin, heads.narrow(2, kHeadDim / 2, kHeadDim / 2)}, 2);
  };
  const at::Tensor qkv = at::randn({kTokens, (kHeads + 2 * kKvHeads) * kHeadDim});
  const at::Tensor bias = at::randn({qkv.size(1)});
  calls["add_bias"] = [=] { at::add(qkv, bias); };
  calls["bias_gradient"] = [=] { qkv.sum(0); };
}

void add_ends(std::map<std::string, Call>& calls) {
  const at::Tensor logits = at::randn({kHeadChunk, kVocab});
  const at::Tensor targets = at::randint(kVocab, {kHeadChunk});
  calls["cross_entropy"] = [=] {
    const at::Tensor x = logits.detach().requires_grad_(true);
    at::cross_entropy_loss(x, targets).backward();
  };
  const at::Tensor table = at::randn({kVocab, kHidden});
  const at::Tensor ids = at::randint(kVocab, {kTokens});
  const at::Tensor dout = at::randn({kTokens, kHidden});
  calls["embedding_forward"] = [=] { at::embedding(table, ids); };
  // It makes a whole new table, and ours adds to the one that is there.
  calls["embedding_backward"] = [=] { at::embedding_dense_backward(dout, ids, kVocab, -1, false); };
  const std::vector<at::Tensor> values = {at::randn({kFlat})};
  const std::vector<at::Tensor> gradients = {at::randn({kFlat})};
  const std::vector<at::Tensor> first = {at::zeros({kFlat})};
  const std::vector<at::Tensor> second = {at::zeros({kFlat})};
  const std::vector<at::Tensor> steps = {at::ones({})};
  calls["adamw"] = [=] {
    at::_fused_adamw_(values, gradients, first, second, {}, steps, 1e-4, 0.9, 0.95, 0.1, 1e-8,
                      false, false);
  };
  calls["sum_of_squares"] = [=] { at::linalg_vector_norm(gradients[0]); };
  calls["convert_to_bf16"] = [=] { gradients[0].to(at::kBFloat16); };
  calls["ordered_sum"] = [=] { at::add(gradients[0], values[0]); };
}

std::map<std::string, Call> libtorch_calls() {
  std::map<std::string, Call> calls;
  add_norms(calls);
  add_feed_forward(calls);
  add_attention(calls);
  add_ends(calls);
  return calls;
}

void measure(benchmark::State& state, const Call& call, double bytes, double flops) {
  for (auto unused : state) call();
  const auto rounds = static_cast<double>(state.iterations());
  if (bytes > 0) {
    state.counters["bytes"] = benchmark::Counter(bytes * rounds, benchmark::Counter::kIsRate);
  }
  if (flops > 0) {
    state.counters["flops"] = benchmark::Counter(flops * rounds, benchmark::Counter::kIsRate);
  }
}

void add(const std::string& name, const Call& call, double bytes = 0, double flops = 0) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { measure(state, call, bytes, flops); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// A layer's three products with a weight [kOut, kHidden], on the tile unit where there is one.
void add_products() {
  if (!has_tile_unit()) return;
  constexpr std::int64_t kOut = 2 * kInner;
  const at::Tensor x = at::randn({kTokens, kHidden});
  const at::Tensor dy = at::randn({kTokens, kOut});
  const at::Tensor weight = at::randn({kOut, kHidden});
  struct Product {
    const char* name;
    at::Tensor a, b;
  };
  for (const Product& each :
       {Product{"product, forward", x, weight.t()}, Product{"product, input gradient", dy, weight},
        Product{"product, weight gradient", dy.t(), x}}) {
    const at::Tensor c = at::empty({each.a.size(0), each.b.size(1)});
    const double flops = 2.0 * kTokens * kHidden * kOut;
    const auto call = [=, a = each.a, b = each.b](const Kernels& kernels) {
      at::Tensor out = c;
      product_out(kernels, a, b, out);
    };
    add(
        str("kernel/", each.name), [=] { call(cpu_kernels_on_tiles()); }, 0, flops);
    add(
        str("libtorch/", each.name), [=] { call(cpu_kernels()); }, 0, flops);
  }
}

void add_all() {
  constexpr std::int64_t kSize = 1024;
  const at::Tensor a = at::randn({kSize, kSize});
  at::Tensor product = at::empty({kSize, kSize});
  const at::Tensor from = at::randn({kFlat});
  const at::Tensor to = at::empty({kFlat});
  add(
      "bound/product", [=] { at::mm_out(const_cast<at::Tensor&>(product), a, a); }, 0,
      2.0 * kSize * kSize * kSize);
  add(
      "bound/copy", [=] { to.copy_(from); }, 8.0 * kFlat);
  const std::map<std::string, Call> theirs = libtorch_calls();
  for (const KernelCase& kernel : kernel_cases({.tokens = kTokens})) {
    add("kernel/" + kernel.name, kernel.run, kernel.bytes, kernel.flops);
    add("libtorch/" + kernel.name, theirs.at(kernel.name), kernel.bytes, kernel.flops);
  }
  add_products();
}

}  // namespace
}  // namespace cloze

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  const cloze::CachingAllocator allocator;  // Outputs of both kinds come from memory that is there.
  cloze::add_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
