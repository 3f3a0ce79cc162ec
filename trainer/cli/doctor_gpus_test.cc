// What the doctor finds of GPUs, on tables of the tests' own: no GPU is needed.
#include "trainer/cli/doctor_gpus.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include "parallel/base/check.h"
#include "parallel/comm/groups.h"
#include "tests/support/run_ranks.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

CudaRuntime two_gpus() {
  CudaRuntime cuda{};
  cuda.get_device_count = [](int* count) {
    *count = 2;
    return kCudaSuccess;
  };
  cuda.device_name = [](char* name, int length, int device) {
    std::snprintf(name, static_cast<std::size_t>(length), "GPU of place %d", device);
    return kCudaSuccess;
  };
  cuda.device_uuid = [](CudaUuid* uuid, int device) {
    *uuid = {static_cast<char>(device)};
    return kCudaSuccess;
  };
  cuda.device_total_memory = [](std::size_t* bytes, int) {
    *bytes = std::size_t{80} << 30;
    return kCudaSuccess;
  };
  cuda.device_attribute = [](int* value, int attribute, int device) {
    *value = attribute == kCudaCapabilityMajor ? 9 - 2 * device : 0;
    return kCudaSuccess;
  };
  cuda.runtime_version = [](int* version) {
    *version = 13000;
    return kCudaSuccess;
  };
  cuda.driver_version = cuda.runtime_version;
  cuda.error_string = [](CudaResult) { return "no CUDA-capable device is detected"; };
  return cuda;
}

CudaRuntime none_seen() {
  CudaRuntime cuda = two_gpus();
  cuda.get_device_count = [](int*) { return CudaResult{100}; };
  return cuda;
}

CudaRuntime no_runtime() {
  fail(ExitCode::kUsage, "a library does not open: libcudart.so.13", "install CUDA 13's runtime");
}

NcclLibrary nccl_of_2_28() {
  NcclLibrary nccl{};
  nccl.get_version = [](int* version) {
    *version = 22809;
    return kNcclSuccess;
  };
  return nccl;
}

class DoctorGpusTest : public testing::Test {
 protected:
  DoctorGpusTest() { std::ofstream(scratch_.path() / "kernels.so") << "kernels"; }

  // Everything is there; tests take something away.
  GpuSources sources(CudaRuntime (*open_runtime)()) {
    vendor_.open_runtime = open_runtime;
    return {.vendor = vendor_,
            .prepare_environment = [] {},
            .open_torch = [] { return "/lib/libtorch_cuda.so"; },
            .open_kernels = [this] { return scratch_.path() / "kernels.so"; },
            .open_nccl = &nccl_of_2_28,
            .nccl_shares = [] { return false; },
            .start = nullptr};
  }
  static GpuSetup look(const GpuSources& sources) {
    return look_for_gpus(sources, [](const GpuSetup&) {});
  }

  const ScratchFolder scratch_{"doctor-gpus"};
  GpuVendor vendor_{.device = "cuda",
                    .torch_type = c10::DeviceType::CUDA,
                    .torch_library = "libtorch_cuda.so",
                    .kernel_library = "libcloze_cuda.so",
                    .collectives = "libnccl.so.2",
                    .open_runtime = nullptr,
                    .oldest_capability = 80};
};

TEST_F(DoctorGpusTest, EveryGpuAndEveryLibraryIsTold) {
  GpuSources whole = sources(&two_gpus);
  int starts = 0;
  whole.start = [&] { ++starts; };
  const GpuSetup setup = look(whole);
  EXPECT_EQ(setup.doing, "");
  ASSERT_EQ(setup.gpus.size(), 2U);
  EXPECT_EQ(setup.gpus[0].name, "GPU of place 0");
  EXPECT_EQ(setup.gpus[1].uuid, "GPU-01000000-0000-0000-0000-000000000000");
  EXPECT_EQ(setup.gpus[0].memory_bytes, std::int64_t{80} << 30);
  EXPECT_EQ(setup.gpus[0].capability, "9.0");
  EXPECT_EQ(setup.gpus[0].problem, "");
  EXPECT_NE(setup.gpus[1].problem.find("compute capability 7.0"), std::string::npos);
  EXPECT_NE(setup.gpus[1].fix.find("8.0 or later"), std::string::npos);
  EXPECT_EQ(setup.runtime.found, "CUDA 13.0");
  EXPECT_NE(setup.driver.detail.find("up to 13.0"), std::string::npos);
  EXPECT_EQ(setup.kernels.found.size(), 32U) << "the digest of its bytes";
  EXPECT_EQ(setup.nccl.found, "2.28.9");
  EXPECT_EQ(setup.torch.detail, "/lib/libtorch_cuda.so");
  EXPECT_EQ(starts, 1);
  EXPECT_FALSE(setup.start.found.empty());
  EXPECT_EQ(setup.sharing, GpuPart());
}

TEST_F(DoctorGpusTest, OneMissingPartHidesNoOther) {
  GpuSources without = sources(&no_runtime);
  without.open_kernels = []() -> std::filesystem::path {
    fail(ExitCode::kUsage, "libcloze_cuda.so is of another build than this program", "build");
  };
  without.start = [] { ADD_FAILURE() << "there is nothing to compute on"; };
  const GpuSetup setup = look(without);
  EXPECT_EQ(setup.runtime.problem, "a library does not open: libcudart.so.13");
  EXPECT_EQ(setup.runtime.fix, "install CUDA 13's runtime");
  EXPECT_TRUE(setup.gpus.empty());
  EXPECT_NE(setup.kernels.problem.find("of another build"), std::string::npos);
  EXPECT_EQ(setup.nccl.found, "2.28.9");
  EXPECT_EQ(setup.torch.problem, "");
}

TEST_F(DoctorGpusTest, ARuntimeThatSeesNoGpuSaysWhy) {
  const GpuSetup setup = look(sources(&none_seen));
  EXPECT_EQ(setup.runtime.found, "CUDA 13.0");
  EXPECT_NE(setup.visible.problem.find("no CUDA-capable device"), std::string::npos);
  EXPECT_NE(setup.visible.fix.find("nvidia-smi"), std::string::npos);
}

TEST_F(DoctorGpusTest, AnOldNcclThatIsToShareAGpuIsRefused) {
  GpuSources sharing = sources(&two_gpus);
  sharing.nccl_shares = [] { return true; };
  const GpuSetup setup = look(sharing);
  EXPECT_TRUE(setup.nccl_shares);
  EXPECT_EQ(setup.nccl.problem, "") << "it carries between GPUs";
  EXPECT_NE(setup.sharing.problem.find("NCCL 2.28.9"), std::string::npos);
}

TEST_F(DoctorGpusTest, TheEnvironmentIsToldInTheWordsOfTraining) {
  GpuSources named = sources(&two_gpus);
  named.prepare_environment = [] { check_nccl_address("1.2.3.4:5"); };
  const GpuSetup setup = look(named);
  EXPECT_EQ(setup.environment.found, "NCCL_COMM_ID is set");
  EXPECT_NE(setup.environment.problem.find("1.2.3.4:5"), std::string::npos);
}

TEST_F(DoctorGpusTest, NcclMayBeTheOneThatLibTorchBringsAlong) {
  GpuSources sources_of_torch = sources(&two_gpus);
  auto is_open = std::make_shared<bool>(false);
  sources_of_torch.open_torch = [=, open = sources_of_torch.open_torch] {
    *is_open = true;
    return open();
  };
  sources_of_torch.open_nccl = [=, open = sources_of_torch.open_nccl] {
    EXPECT_TRUE(*is_open) << "training opens LibTorch first";
    return open();
  };
  EXPECT_EQ(look(sources_of_torch).nccl.found, "2.28.9");
}

TEST_F(DoctorGpusTest, ACopyBringsBackWhatItFoundAndKeepsWhatLibrariesPrint) {
  GpuSources noisy = sources(&two_gpus);
  noisy.open_torch = [] {
    std::fputs("a library says a word", stdout);
    std::fputs("and another\n", stderr);
    return "/lib/libtorch_cuda.so";
  };
  testing::internal::CaptureStdout();
  const GpuSetup setup = look_in_copy(noisy, std::chrono::seconds(60));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(setup, look(sources(&two_gpus)));
  EXPECT_EQ(setup.ended, "");
}

TEST_F(DoctorGpusTest, ALibraryThatKillsOrHangsItsProcessIsNamed) {
  GpuSources deadly = sources(&two_gpus);
  deadly.open_torch = []() -> std::filesystem::path {
    std::raise(SIGKILL);
    return "";
  };
  const GpuSetup dead = look_in_copy(deadly, std::chrono::seconds(60));
  EXPECT_EQ(dead.ended, "ends with 137");
  EXPECT_EQ(dead.doing, "opening libtorch_cuda.so");
  EXPECT_EQ(dead.gpus.size(), 2U) << "what was found before is kept";
  EXPECT_EQ(dead.kernels, look(sources(&two_gpus)).kernels);
  deadly.open_torch = []() -> std::filesystem::path {
    std::this_thread::sleep_for(std::chrono::seconds(60));
    return "";
  };
  EXPECT_EQ(look_in_copy(deadly, std::chrono::seconds(1)).ended, "does not end within 1 s");
}

TEST_F(DoctorGpusTest, EveryRankKnowsWhatAllHaveFound) {
  run_ranks(2, [&](LocalWorld& ranks, int rank) {
    const auto world = ranks.communicator("world", ranks.everyone(), rank);
    GpuSetup setup;
    setup.runtime.found = std::to_string(rank);
    const auto all = gather_gpus(
        *world, {.rank = rank, .host = "h" + std::to_string(rank), .place = 5, .setup = setup});
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[1].rank, 1);
    EXPECT_EQ(all[1].host, "h1");
    EXPECT_EQ(all[1].place, 5);
    EXPECT_EQ(all[1].setup.runtime.found, "1");
  });
}

}  // namespace
}  // namespace cloze
