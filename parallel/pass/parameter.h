// Parameters: parts of global tensors that live in flat buffers, values beside gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "parallel/mesh/shard.h"

namespace cloze {

// Over which ranks a gradient is partial before the sum over data ranks.
enum class GradientSum : std::uint8_t {
  kNone,        // Each tensor rank has its own part, or the same whole gradient.
  kTensor,      // Every tensor rank saw other tokens (sequence parallelism).
  kKvReplicas,  // Every replica of a key/value head saw other query heads.
};

// What a parameter is before it has memory. The same on every layout but for `box`,
// `first_replica` and `sum`.
struct ParameterSpec {
  std::string name;         // "model.layers.3.self_attn.q_proj.weight".
  Box box;                  // The part that this rank holds.
  std::uint32_t layer = 0;  // 0 outside of the layers, else the layer's number + 1.
  std::uint32_t site = 0;   // Place in the frozen list of the model's parameters of one layer.
  bool decays = true;       // Weight decay applies.
  double initial_mean = 0;
  double initial_std = 0;
  GradientSum sum = GradientSum::kNone;
  bool first_replica = true;  // Counts in the norm and is saved; false on the other holders.

  // Order of all parameters of a model, the same on every layout.
  std::uint64_t number() const { return (std::uint64_t{layer} << 16) | site; }
};

struct Parameter {
  ParameterSpec spec;
  at::Tensor value;      // Shape of the box; a view of a flat buffer; compute type.
  at::Tensor main_grad;  // Same shape; accumulator type; gradients are added here.
};

// Parameters that lie side by side without a gap, so that one GEMM serves them all (q|k|v,
// gate|up, a norm's weight|bias). A lone parameter is a group of one.
struct ParameterGroup {
  std::vector<Parameter> members;
  at::Tensor value;      // Members stacked along dim 0.
  at::Tensor main_grad;  // Likewise.
  // Set for another use of a parameter owned elsewhere (tied head): it has a gradient buffer of
  // its own, but is not reduced, updated, counted or saved.
  bool is_copy = false;

  std::int64_t elements() const;
};

// All groups of one flat buffer have the same decay and partial sum, so that one kernel updates
// it and one collective sums it.
struct FlatBuffer {
  bool decays;
  bool sum_over_tensor;
  std::vector<ParameterGroup*> groups;  // In the order in which backward completes them.
  std::vector<std::int64_t> offsets;    // First element of each group; multiples of 64.
  at::Tensor value;                     // [elements], compute type.
  at::Tensor main_grad;                 // [elements], accumulator type.
};

// The parameters of one rank. Layers add theirs while they are built, in forward order; then
// allocate() gives all of them memory at once.
class ParameterTable {
 public:
  ParameterTable() = default;
  ParameterTable(const ParameterTable&) = delete;
  ParameterTable& operator=(const ParameterTable&) = delete;

  // The reference stays good as long as the table. Members of a group agree in decay.
  ParameterGroup& add(std::vector<ParameterSpec> members);
  // Another use, on this rank, of a parameter owned by `owner`, or of one owned by another
  // stage when `owner` is null.
  ParameterGroup& add_copy(ParameterSpec spec, const ParameterGroup* owner);

  void allocate(at::ScalarType compute, at::Device device = at::kCPU);
  // The same without gradients: for a model that is used and not trained.
  void allocate_values(at::ScalarType compute);

  // Fills every value from its key: the same numbers on every layout.
  void initialise(std::uint64_t seed);

  void zero_gradients();

  std::vector<FlatBuffer>& buffers() { return buffers_; }
  const std::vector<FlatBuffer>& buffers() const { return buffers_; }
  const std::deque<ParameterGroup>& groups() const { return groups_; }
  at::ScalarType compute_type() const { return compute_; }
  // Parameters that this rank owns a part of (copies left out), in order of number().
  std::vector<const Parameter*> owned() const;

 private:
  void allocate_buffers(at::ScalarType compute, at::Device device, bool with_gradients);

  std::deque<ParameterGroup> groups_;
  std::vector<const ParameterGroup*> copy_owners_;  // One per group; null but for copies.
  std::vector<FlatBuffer> buffers_;
  at::ScalarType compute_ = at::kFloat;
};

// Element `index` of the box, counted in row-major order of the *global* tensor.
// Writes the initial values of `spec`'s box to `out` in double precision.
void initial_values(const ParameterSpec& spec, std::uint64_t seed, double* out);

}  // namespace cloze
