#include "parallel/comm/ordered_reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "parallel/base/check.h"
#include "parallel/base/dtype.h"
#include "parallel/base/parallel_for.h"

namespace cloze {
namespace {

// Elements reduced at once: the accumulators stay in the first-level cache, and a block of the
// output is written only after that block of every part was read.
constexpr std::int64_t kBlock = 1024;
// Elements below which a second thread costs more than it saves.
constexpr std::int64_t kGrain = 16 * kBlock;

// What a type is summed in. Signed integers go through unsigned ones, where wrapping is defined.
template <typename Element>
struct Accumulator {
  using Type = Element;
};
template <>
struct Accumulator<BFloat16> {
  using Type = float;
};
template <>
struct Accumulator<Float16> {
  using Type = float;
};

template <typename Value>
Value add(Value a, Value b) {
  if constexpr (std::is_integral_v<Value>) {
    using Unsigned = std::make_unsigned_t<Value>;
    return static_cast<Value>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return a + b;
  }
}

template <typename Value>
Value larger(Value a, Value b) {
  if constexpr (std::is_integral_v<Value>) {
    return std::max(a, b);
  } else {
    return (a > b || std::isnan(a)) ? a : b;  // A NaN on either side wins.
  }
}

template <typename Element, ReduceOp op>
void reduce_block(Element* output, std::span<const void* const> parts, std::int64_t first,
                  std::int64_t count) {
  using Value = Accumulator<Element>::Type;
  std::array<Value, kBlock> sum;
  const auto* start = static_cast<const Element*>(parts[0]) + first;
  for (std::int64_t j = 0; j < count; ++j) sum[j] = static_cast<Value>(start[j]);
  for (const void* part : parts.subspan(1)) {
    const auto* next = static_cast<const Element*>(part) + first;
    for (std::int64_t j = 0; j < count; ++j) {
      const auto value = static_cast<Value>(next[j]);
      sum[j] = op == ReduceOp::kSum ? add(sum[j], value) : larger(sum[j], value);
    }
  }
  for (std::int64_t j = 0; j < count; ++j) output[first + j] = static_cast<Element>(sum[j]);
}

template <typename Element, ReduceOp op>
void reduce_all(void* output, std::span<const void* const> parts, std::int64_t count) {
  parallel_for(0, count, kGrain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; block += kBlock) {
      reduce_block<Element, op>(static_cast<Element*>(output), parts, block,
                                std::min(kBlock, last - block));
    }
  });
}

template <typename Element>
void reduce_by(void* output, std::span<const void* const> parts, std::int64_t count, ReduceOp op) {
  if (op == ReduceOp::kSum) {
    reduce_all<Element, ReduceOp::kSum>(output, parts, count);
  } else {
    reduce_all<Element, ReduceOp::kMax>(output, parts, count);
  }
}

using Reduction = void (*)(void*, std::span<const void* const>, std::int64_t, ReduceOp);

Reduction reduction_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return reduce_by<double>;
    case at::kFloat:
      return reduce_by<float>;
    case at::kBFloat16:
      return reduce_by<BFloat16>;
    case at::kHalf:
      return reduce_by<Float16>;
    case at::kLong:
      return reduce_by<std::int64_t>;
    case at::kInt:
      return reduce_by<std::int32_t>;
    case at::kByte:
      return reduce_by<std::uint8_t>;
    default:
      return nullptr;
  }
}

}  // namespace

bool is_reducible(at::ScalarType dtype) { return reduction_of(dtype) != nullptr; }

void ordered_reduce(void* output, std::span<const void* const> parts, std::int64_t count,
                    at::ScalarType dtype, ReduceOp op) {
  const Reduction reduce = reduction_of(dtype);
  CLOZE_CHECK(reduce != nullptr && !parts.empty(), str("no reduction of ", dtype),
              "use f64, f32, bf16, f16, i64, i32 or u8");
  reduce(output, parts, count, op);
}

Range reduction_slice(std::int64_t count, int size, int index) {
  constexpr std::int64_t kSliceGrain = 64;
  const Range grains = part_of((count + kSliceGrain - 1) / kSliceGrain, size, index);
  return {std::min(count, grains.first * kSliceGrain), std::min(count, grains.last * kSliceGrain)};
}

}  // namespace cloze
