#include "parallel/device/cuda_runtime.h"

#include <gtest/gtest.h>

#include <filesystem>
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
  EXPECT_EQ(library.file().filename(), "libc.so.6");
  int (*absolute)(int) = nullptr;
  library.load(absolute, "abs");
  EXPECT_EQ(absolute(-3), 3);
  EXPECT_TRUE(std::filesystem::equivalent(library_file_of(reinterpret_cast<const void*>(absolute)),
                                          library.file()));
  EXPECT_TRUE(library_file_of(nullptr).empty());
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
  const CudaRuntime stub = runtime_that_counts([](int*) { return CudaResult{34}; });
  EXPECT_EQ(error_of([&] { count_gpus(stub); }).code(), ExitCode::kUsage)
      << "a toolkit's stand-in for the driver";
  const CudaRuntime broken = runtime_that_counts([](int*) { return CudaResult{719}; });
  EXPECT_EQ(error_of([&] { count_gpus(broken); }).code(), ExitCode::kTransient);
}

TEST(CudaRuntimeTest, AnIdentityReadsAsNvidiaSmiWritesIt) {
  CudaUuid uuid{};
  for (std::size_t i = 0; i < uuid.size(); ++i) uuid[i] = static_cast<char>(i * 17);
  EXPECT_EQ(text_of(uuid), "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

TEST(CudaRuntimeTest, TheDriversVersionIsReadFromItsOwnText) {
  EXPECT_EQ(
      parse_nvidia_driver(
          "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC "
          "2023\nGCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n"),
      "535.104.05");
  EXPECT_EQ(
      parse_nvidia_driver("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  "
                          "Release Build  (dvs-builder@U22)  Sun Jul 27 07:19:33 UTC 2025"),
      "580.65.06");
  EXPECT_EQ(parse_nvidia_driver("NVRM version: none\n1.2.3"), "");
  EXPECT_EQ(parse_nvidia_driver(""), "");
}

TEST(CudaRuntimeTest, VersionsReadAsCudaWritesThem) {
  EXPECT_EQ(cuda_version_text(13000), "13.0");
  EXPECT_EQ(cuda_version_text(12080), "12.8");
  EXPECT_EQ(cuda_version_text(0), "0.0");
  CudaRuntime cuda{};
  cuda.driver_version = [](int* version) {
    *version = 13010;
    return kCudaSuccess;
  };
  const std::string text = driver_text(cuda);  // This machine may have a driver.
  EXPECT_TRUE(text == "of CUDA 13.1" || text.find_first_not_of("0123456789.") == text.npos) << text;
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
