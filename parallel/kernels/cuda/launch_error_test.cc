#include "parallel/kernels/cuda/launch_error.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze::cuda {
namespace {

Error error_of(int number) {
  try {
    fail_launch(number, "a kernel was to start", "its words", "norm.cu", 12);
  } catch (const Error& error) {
    return error;
  }
}

TEST(LaunchErrorTest, ABugNamesTheLaunch) {
  const Error error = error_of(701);
  EXPECT_EQ(error.code(), ExitCode::kInternal);
  EXPECT_NE(error.problem().find("norm.cu:12"), std::string::npos) << error.problem();
}

TEST(LaunchErrorTest, SaysWhatCudaSays) {
  const Error error = error_of(719);
  EXPECT_EQ(error.code(), ExitCode::kTransient);
  EXPECT_EQ(error.problem(), "a kernel was to start: CUDA says 'its words' (719)");
}

}  // namespace
}  // namespace cloze::cuda
