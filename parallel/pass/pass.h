// One microbatch's way through one stage: what forward leaves for backward, and where backward
// puts the gradients of weights. There is no tape: layers push and pop by hand, in opposite
// order.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

#include "parallel/kernels/kernels.h"
#include "parallel/pass/key_value_cache.h"
#include "parallel/pass/parameter.h"
#include "parallel/trace/trace.h"

namespace cloze {

// Tensors that forward keeps for backward, last in, first out.
class Stash {
 public:
  // Keeps nothing when off: evaluation, or a forward that will be run again.
  explicit Stash(bool keeps = true) : keeps_(keeps) {}

  bool keeps() const { return keeps_; }
  bool empty() const { return tensors_.empty(); }
  std::int64_t bytes() const;

  void push(std::initializer_list<at::Tensor> tensors);

  // The last N tensors, in the order in which they were pushed.
  template <std::size_t N>
  std::array<at::Tensor, N> pop() {
    check_holds(N);
    std::array<at::Tensor, N> result;
    for (std::size_t i = N; i-- > 0;) {
      result[i] = std::move(tensors_.back());
      tensors_.pop_back();
    }
    return result;
  }

 private:
  void check_holds(std::size_t count) const;

  bool keeps_;
  std::vector<at::Tensor> tensors_;
};

// Where gradients of weights go: straight into main_grad, in microbatch order.
class WeightGradients {
 public:
  // Called with each group whose gradient is complete, on the step's last microbatch.
  using OnReady = std::function<void(ParameterGroup&)>;

  WeightGradients() = default;
  // `details` tell whose microbatch it is, when there is a trace.
  WeightGradients(OnReady on_ready, bool last, Trace* trace = nullptr, TraceDetails details = {})
      : on_ready_(std::move(on_ready)), last_(last), trace_(trace), details_(details) {}

  // main_grad += dy^T x for a weight [out, in]; dy [tokens, out], x [tokens, in]. For `workspace`
  // see product.h.
  void add_product(const Kernels& kernels, ParameterGroup& group, const at::Tensor& dy,
                   const at::Tensor& x, const at::Tensor& workspace = {}) const;
  // Records that the gradient of a weight is being computed; add_product() does it itself.
  TraceSpan span() const { return {trace_, "weight gradient", details_}; }
  // Says that all gradients of the group have been added for this microbatch.
  void ready(ParameterGroup& group) const;

 private:
  OnReady on_ready_;
  bool last_ = false;
  Trace* trace_ = nullptr;
  TraceDetails details_;
};

struct Pass {
  Stash stash;
  WeightGradients weight_gradients;
  bool training = true;    // Dropout is on.
  std::uint64_t seed = 0;  // Of the run.
  // Earlier tokens of the text that is generated; null but there. Intervals then count its rows.
  KeyValueCache* cache = nullptr;
};

}  // namespace cloze
