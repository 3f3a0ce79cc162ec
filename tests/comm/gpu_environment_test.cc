// What a run on GPUs sets in its environment before their libraries read it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "parallel/comm/groups.h"

namespace cloze {
namespace {

// The text of the process's environment, which setenv() of this test and of the code changes.
std::string environment_text(const char* name) {
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (text.substr(0, equals) == name) return text.substr(equals + 1);
  }
  return "unset";
}

TEST(GpuEnvironmentTest, GpusAreSetUpUnlessTheUserHasSaidOtherwise) {
  const std::vector<const char*> names = {"NCCL_LAUNCH_ORDER_IMPLICIT", "CUBLAS_WORKSPACE_CONFIG",
                                          "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"};
  const auto clear = [&] {
    for (const char* name : names) unsetenv(name);
  };
  clear();
  prepare_gpu_environment();
  EXPECT_EQ(environment_text("NCCL_LAUNCH_ORDER_IMPLICIT"), "1");
  EXPECT_EQ(environment_text("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
  EXPECT_EQ(environment_text("PYTORCH_ALLOC_CONF"), "expandable_segments:True");
  clear();
  setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", 1);
  setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64", 1);
  prepare_gpu_environment();
  EXPECT_EQ(environment_text("CUBLAS_WORKSPACE_CONFIG"), ":16:8");
  EXPECT_EQ(environment_text("PYTORCH_ALLOC_CONF"), "unset") << "the user's older name counts";
  clear();
}

}  // namespace
}  // namespace cloze
