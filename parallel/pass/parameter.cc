#include "parallel/pass/parameter.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "parallel/base/check.h"
#include "parallel/base/parallel_for.h"
#include "parallel/base/random.h"
#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

constexpr std::int64_t kAlignment = 64;  // Elements; groups start and end on it.

std::int64_t aligned(std::int64_t elements) {
  return (elements + kAlignment - 1) / kAlignment * kAlignment;
}

// Members stacked along dim 0: [sum of rows, the rest].
Shape stacked_shape(const ParameterGroup& group) {
  Shape shape = group.members.front().spec.box.shape;
  shape[0] = 0;
  for (const Parameter& member : group.members) shape[0] += member.spec.box.shape[0];
  return shape;
}

// Gives a group and its members their views, `first` elements into flat buffers; `main_grad` is
// undefined when there are no gradients.
void place(ParameterGroup& group, const at::Tensor& value, const at::Tensor& main_grad,
           std::int64_t first) {
  const Shape shape = stacked_shape(group);
  group.value = value.narrow(0, first, group.elements()).view(shape);
  if (main_grad.defined()) {
    group.main_grad = main_grad.narrow(0, first, group.elements()).view(shape);
  }
  std::int64_t row = 0;
  for (Parameter& member : group.members) {
    const std::int64_t rows = member.spec.box.shape[0];
    member.value = group.value.narrow(0, row, rows);
    if (main_grad.defined()) member.main_grad = group.main_grad.narrow(0, row, rows);
    row += rows;
  }
}

}  // namespace

std::int64_t ParameterGroup::elements() const {
  std::int64_t count = 0;
  for (const Parameter& member : members) count += member.spec.box.elements();
  return count;
}

ParameterGroup& ParameterTable::add(std::vector<ParameterSpec> members) {
  CLOZE_CHECK(!members.empty(), "a parameter group without members", "give it a parameter");
  ParameterGroup& group = groups_.emplace_back();
  copy_owners_.push_back(nullptr);
  for (ParameterSpec& spec : members) group.members.push_back({std::move(spec), {}, {}});
  const ParameterSpec& first = group.members.front().spec;
  for (const Parameter& member : group.members) {
    CLOZE_CHECK(member.spec.decays == first.decays &&
                    member.spec.box.shape.size() == first.box.shape.size(),
                str(member.spec.name, " cannot share a group with ", first.name),
                "group parameters of one kind");
  }
  return group;
}

ParameterGroup& ParameterTable::add_copy(ParameterSpec spec, const ParameterGroup* owner) {
  ParameterGroup& group = add({std::move(spec)});
  group.is_copy = true;
  copy_owners_.back() = owner;
  return group;
}

void ParameterTable::allocate(at::ScalarType compute, at::Device device) {
  allocate_buffers(compute, device, /*with_gradients=*/true);
}

void ParameterTable::allocate_values(at::ScalarType compute) {
  allocate_buffers(compute, at::kCPU, /*with_gradients=*/false);
}

void ParameterTable::allocate_buffers(at::ScalarType compute, at::Device device,
                                      bool with_gradients) {
  compute_ = compute;
  const at::TensorOptions values = at::TensorOptions(device).dtype(compute);
  const at::TensorOptions gradients = values.dtype(accumulator_of(compute));
  buffers_.clear();
  // Backward reaches the last layer first, so its gradients lie first.
  for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
    if (group->is_copy) continue;
    const bool decays = group->members.front().spec.decays;
    const bool over_tensor = group->members.front().spec.sum == GradientSum::kTensor;
    auto buffer = std::find_if(buffers_.begin(), buffers_.end(), [&](const FlatBuffer& candidate) {
      return candidate.decays == decays && candidate.sum_over_tensor == over_tensor;
    });
    if (buffer == buffers_.end()) {
      buffers_.push_back({decays, over_tensor, {}, {}, {}, {}});
      buffer = std::prev(buffers_.end());
    }
    const std::int64_t first =
        buffer->groups.empty()
            ? 0
            : aligned(buffer->offsets.back() + buffer->groups.back()->elements());
    buffer->groups.push_back(&*group);
    buffer->offsets.push_back(first);
  }
  for (FlatBuffer& buffer : buffers_) {
    const std::int64_t elements = aligned(buffer.offsets.back() + buffer.groups.back()->elements());
    buffer.value = at::zeros({elements}, values);
    if (with_gradients) buffer.main_grad = at::zeros({elements}, gradients);
    for (std::size_t i = 0; i < buffer.groups.size(); ++i) {
      place(*buffer.groups[i], buffer.value, buffer.main_grad, buffer.offsets[i]);
    }
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (!groups_[i].is_copy) continue;
    const ParameterGroup* owner = copy_owners_[i];
    const std::int64_t elements = groups_[i].elements();
    const at::Tensor value =
        owner != nullptr ? owner->value.view({elements}) : at::zeros({elements}, values);
    place(groups_[i], value, with_gradients ? at::zeros({elements}, gradients) : at::Tensor(), 0);
  }
}

void ParameterTable::initialise(std::uint64_t seed) {
  for (ParameterGroup& group : groups_) {
    for (Parameter& member : group.members) {
      at::Tensor exact = at::empty(member.spec.box.shape, at::kDouble);
      initial_values(member.spec, seed, exact.data_ptr<double>());
      // Through the accumulator type, so that 16-bit values equal their rounded masters.
      member.value.copy_(exact.to(accumulator_of(compute_)));
    }
  }
}

void ParameterTable::zero_gradients() {
  for (FlatBuffer& buffer : buffers_) buffer.main_grad.zero_();
  for (ParameterGroup& group : groups_) {
    if (group.is_copy) group.main_grad.zero_();
  }
}

std::vector<const Parameter*> ParameterTable::owned() const {
  std::vector<const Parameter*> parameters;
  for (const ParameterGroup& group : groups_) {
    if (group.is_copy) continue;
    for (const Parameter& member : group.members) parameters.push_back(&member);
  }
  std::sort(parameters.begin(), parameters.end(), [](const Parameter* a, const Parameter* b) {
    return a->spec.number() < b->spec.number();
  });
  return parameters;
}

void initial_values(const ParameterSpec& spec, std::uint64_t seed, double* out) {
  const Box& box = spec.box;
  const std::size_t dims = box.shape.size();
  const std::int64_t inner = box.shape[dims - 1];
  const std::int64_t rows = inner == 0 ? 0 : box.elements() / inner;
  const RandomKey key{.seed = seed,
                      .domain = RandomDomain::kInit,
                      .layer = spec.layer,
                      .site = spec.site,
                      .ordinal = 0};
  parallel_for(0, rows, 16, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      // Coordinates of the row's first element in the global tensor.
      std::int64_t rest = row;
      std::int64_t stride = box.global[dims - 1];
      std::int64_t start = box.offset[dims - 1];
      for (std::size_t dim = dims - 1; dim-- > 0;) {
        start += (box.offset[dim] + rest % box.shape[dim]) * stride;
        rest /= box.shape[dim];
        stride *= box.global[dim];
      }
      for (std::int64_t i = 0; i < inner; ++i) {
        const double normal =
            spec.initial_std == 0
                ? 0.0
                : random_normal(key, static_cast<std::uint64_t>(start + i)) * spec.initial_std;
        out[row * inner + i] = spec.initial_mean + normal;
      }
    }
  });
}

}  // namespace cloze
