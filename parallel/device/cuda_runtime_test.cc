#include "parallel/device/cuda_runtime.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "parallel/base/check.h"
#include "parallel/device/shared_library.h"

namespace cloze {
namespace {

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ExitCode::kInternal, "", ""};
}

CudaRuntime runtime_that_counts(CudaResult (*count)(int*)) {
  CudaRuntime cuda{};
  cuda.get_device_count = count;
  cuda.error_string = [](CudaResult) { return "no CUDA-capable device is detected"; };
  return cuda;
}

TEST(SharedLibraryTest, NamesTheLibrariesThatDoNotOpen) {
  const Error error = error_of([] {
    SharedLibrary({"libcloze-none.so", "libnone.so.7"}, "install");
  });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_NE(error.problem().find("libcloze-none.so"), std::string::npos) << error.what();
  EXPECT_NE(error.problem().find("libnone.so.7"), std::string::npos) << error.what();
  EXPECT_EQ(error.fix(), "install");
}

TEST(SharedLibraryTest, OpensTheFirstThatThereIsAndNamesAFunctionThatItLacks) {
  const SharedLibrary library({"libcloze-none.so", "libc.so.6"}, "install another");
  EXPECT_EQ(library.name(), "libc.so.6");
  int (*absolute)(int) = nullptr;
  library.load(absolute, "abs");
  EXPECT_EQ(absolute(-3), 3);
  const Error error = error_of([&] { library.load(absolute, "no_such_function"); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_NE(error.problem().find("libc.so.6 has no function no_such_function"), std::string::npos)
      << error.what();
}

TEST(CudaRuntimeTest, NoGpuIsAnErrorOfUse) {
  const CudaRuntime without = runtime_that_counts([](int* count) {
    *count = 0;
    return kCudaSuccess;
  });
  EXPECT_EQ(error_of([&] { count_gpus(without); }).code(), ExitCode::kUsage);
  const CudaRuntime refused = runtime_that_counts([](int*) { return CudaResult{100}; });
  const Error error = error_of([&] { count_gpus(refused); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_NE(error.problem().find("no CUDA-capable device"), std::string::npos) << error.what();
  const CudaRuntime broken = runtime_that_counts([](int*) { return CudaResult{719}; });
  EXPECT_EQ(error_of([&] { count_gpus(broken); }).code(), ExitCode::kTransient);
}

TEST(CudaRuntimeTest, AnIdentityReadsAsNvidiaSmiWritesIt) {
  CudaUuid uuid{};
  for (std::size_t i = 0; i < uuid.size(); ++i) uuid[i] = static_cast<char>(i * 17);
  EXPECT_EQ(text_of(uuid), "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

// Where there is a driver, the table is whole; where there is none, the error names it.
TEST(CudaRuntimeTest, OpensOrSaysWhatIsMissing) {
  try {
    const CudaRuntime cuda = open_cuda_runtime();
    int version = 0;
    EXPECT_EQ(cuda.runtime_version(&version), kCudaSuccess);
    EXPECT_GE(version, 13000);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    const bool is_named = error.problem().find("libcuda.so.1") != std::string::npos ||
                          error.problem().find("libcudart.so.13") != std::string::npos;
    EXPECT_TRUE(is_named) << error.what();
  }
}

}  // namespace
}  // namespace cloze
