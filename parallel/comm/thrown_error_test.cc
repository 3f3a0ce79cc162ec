#include "parallel/comm/thrown_error.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace cloze {
namespace {

const c10::SourceLocation kHere{"call", "file.cc", 1};

Error error_of_device(int number) {
  return error_of(c10::AcceleratorError(kHere, number, "CUDA error: its words"));
}

TEST(ThrownErrorTest, AGpuThatIsFullIsTheUsersToMend) {
  const c10::OutOfMemoryError allocator(kHere, "CUDA out of memory");
  const c10::Error product(kHere,
                           "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate");
  for (const Error& error : {error_of(allocator), error_of(product), error_of_device(2)}) {
    EXPECT_EQ(error.code(), ExitCode::kUsage) << error.what();
    EXPECT_NE(error.fix().find("batch.micro_size"), std::string::npos) << error.fix();
  }
}

TEST(ThrownErrorTest, AGpuThatFailsIsWorthARestart) {
  const Error fault = error_of_device(719);
  EXPECT_EQ(fault.code(), ExitCode::kTransient);
  EXPECT_EQ(fault.problem(), "CUDA error: its words");
  const c10::Error product(kHere, "CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm");
  EXPECT_EQ(error_of(product).code(), ExitCode::kTransient);
}

TEST(ThrownErrorTest, LibTorchsLaunchesMeanWhatOursDo) {
  EXPECT_EQ(error_of_device(209).code(), ExitCode::kUsage) << "no kernel for this GPU";
  EXPECT_EQ(error_of_device(701).code(), ExitCode::kInternal) << "more than a GPU has";
}

TEST(ThrownErrorTest, OneOfOursIsAsItIs) {
  const Error thrown(ExitCode::kBadInput, "a shard is torn", "make it again");
  const Error error = error_of(thrown);
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_EQ(error.problem(), "a shard is torn");
  EXPECT_EQ(error.fix(), "make it again");
}

TEST(ThrownErrorTest, AllElseIsABug) {
  const c10::Error product(kHere, "CUBLAS_STATUS_INVALID_VALUE when calling cublasSgemm");
  EXPECT_EQ(error_of(product).code(), ExitCode::kInternal);
  const Error surprise = error_of(std::runtime_error("a surprise"));
  EXPECT_EQ(surprise.code(), ExitCode::kInternal);
  EXPECT_EQ(surprise.problem(), "a surprise");
}

}  // namespace
}  // namespace cloze
