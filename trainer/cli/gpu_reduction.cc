#include "trainer/cli/gpu_reduction.h"

#include <vector>

#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

// By a table that has both ways to combine.
template <class T, class Table>
void reduce(const Table& table, void* output, std::span<const void* const> parts,
            std::int64_t count, ReduceOp op) {
  std::vector<const T*> typed;
  for (const void* part : parts) typed.push_back(static_cast<const T*>(part));
  const auto combine = op == ReduceOp::kSum ? table.ordered_sum : table.ordered_max;
  combine(typed.data(), static_cast<int>(typed.size()), static_cast<T*>(output), count);
}

}  // namespace

void reduce_by_kernels(const Kernels& kernels, void* output, std::span<const void* const> parts,
                       std::int64_t count, at::ScalarType dtype, ReduceOp op) {
  switch (dtype) {
    case at::kLong:
      return reduce<std::int64_t>(kernels.i64, output, parts, count, op);
    case at::kInt:
      return reduce<std::int32_t>(kernels.i32, output, parts, count, op);
    case at::kByte:
      return reduce<std::uint8_t>(kernels.u8, output, parts, count, op);
    default:
      with_type(dtype, [&]<typename T>() { reduce<T>(kernels.of<T>(), output, parts, count, op); });
  }
}

}  // namespace cloze
