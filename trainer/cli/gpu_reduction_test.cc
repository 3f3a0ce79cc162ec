#include "trainer/cli/gpu_reduction.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

#include "parallel/comm/ordered_reduce.h"

namespace cloze {
namespace {

// The kernels' sums are those that groups of CPU tensors take, of every type, also where they wrap.
TEST(GpuReductionTest, GivesTheBitsOfTheCpusSums) {
  constexpr std::int64_t kCount = 1000;
  at::manual_seed(3);
  for (const at::ScalarType dtype :
       {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf, at::kLong, at::kInt, at::kByte}) {
    std::vector<at::Tensor> tensors;
    std::vector<const void*> parts;
    for (int part = 0; part < 3; ++part) {
      tensors.push_back((at::randn({kCount}, at::kDouble) * 100).to(dtype));
      parts.push_back(tensors.back().const_data_ptr());
    }
    if (dtype == at::kInt) {
      for (at::Tensor& tensor : tensors) tensor[5] = 2147483647;
    }
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax}) {
      const at::Tensor expected = at::empty({kCount}, dtype);
      const at::Tensor found = at::empty({kCount}, dtype);
      ordered_reduce(expected.mutable_data_ptr(), parts, kCount, dtype, op);
      reduce_by_kernels(cpu_kernels(), found.mutable_data_ptr(), parts, kCount, dtype, op);
      EXPECT_TRUE(at::equal(expected, found)) << dtype;
    }
  }
}

}  // namespace
}  // namespace cloze
