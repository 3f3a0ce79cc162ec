// Self-attention of every GLM here: grouped queries (Ainslie et al., 2023), partial interleaved
// rotary positions (Su et al., 2021) or none, a mask of one key interval a query.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "parallel/kernels/rotary.h"
#include "parallel/pass/pass.h"
#include "parallel/tensor/column_parallel_linear.h"
#include "parallel/tensor/row_parallel_linear.h"
#include "trainer/model/microbatch.h"

namespace cloze {

// Angles of the rotary positions [0, max_position) in the memory of the device that computes, for
// either accumulator type.
class RotaryTables {
 public:
  RotaryTables(double theta, std::int64_t rotary_dim, std::int64_t max_position, at::Device device);
  // Of the device other than the CPU, where they are copied to.
  std::int64_t device_bytes() const {
    return static_cast<std::int64_t>(single_.copy.nbytes() + exact_.copy.nbytes());
  }

  template <typename Number>
  struct Angles {
    const Number* cos = nullptr;  // [max_position, rotary_dim / 2], as RotaryTable has them.
    const Number* sin = nullptr;
  };

  template <typename Number>
  const Angles<Number>& of() const {
    if constexpr (std::is_same_v<Number, double>) {
      return exact_.angles;
    } else {
      return single_.angles;
    }
  }

 private:
  template <typename Number>
  struct Table {
    Table(RotaryTable<Number> values, at::Device device);

    RotaryTable<Number> host;
    at::Tensor copy;  // On another device, when that one computes.
    Angles<Number> angles;
  };

  Table<float> single_;
  Table<double> exact_;
};

struct AttentionOptions {
  std::string name;  // Of the module: "model.layers.0.self_attn".
  std::uint32_t layer;
  std::int64_t hidden_size;
  std::int64_t num_heads;
  std::int64_t num_kv_heads;
  std::int64_t head_dim;
  bool qkv_bias;
  bool output_bias;
  std::int64_t rotary_dim;  // 0: no rotary positions.
  double dropout;
  double initial_std;
  double output_initial_std;
};

// Heads are cut over the tensor ranks. With fewer key/value heads than ranks each is held by
// several, which sum its gradient.
class Attention {
 public:
  // `rotary` may be null when rotary_dim is 0; it is shared by all layers.
  Attention(ParameterTable& table, AttentionOptions options, const RotaryTables* rotary,
            TensorParallel tp);

  // x [tokens (/ tp), hidden] -> like x, without the output bias (see output_bias()). With a
  // pass.cache the tokens see the cache's rows, which take theirs first, and nothing is kept.
  at::Tensor forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& x) const;
  // dy like x -> dx like x. `x` is forward's input.
  at::Tensor backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy,
                      const at::Tensor& x) const;

  at::Tensor output_bias() const { return output_.bias(); }

 private:
  // Turns q and k of qkv [tokens, (heads + 2 kv_heads) / tp * head_dim] by their positions.
  void rotate(at::Tensor& qkv, const Microbatch& microbatch, bool inverse) const;

  const AttentionOptions options_;
  const RotaryTables* const rotary_;
  const TensorParallel tp_;
  const std::int64_t heads_;     // Of this rank.
  const std::int64_t kv_heads_;  // Of this rank.
  ColumnParallelLinear qkv_;
  RowParallelLinear output_;
};

}  // namespace cloze
