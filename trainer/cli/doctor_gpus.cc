#include "trainer/cli/doctor_gpus.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/headeronly/version.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "data/content_digest.h"
#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/base/file.h"
#include "parallel/base/system_file.h"
#include "parallel/comm/groups.h"
#include "parallel/comm/thrown_error.h"
#include "parallel/device/shared_library.h"
#include "parallel/gpu/gpu.h"
#include "parallel/gpu/libraries.h"
#include "trainer/doctor/program.h"
#include "trainer/doctor/system_text.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// Begins the lines of the copy that are its findings; others are of libraries.
constexpr std::string_view kMark = "cloze-gpus ";

std::string file_of(auto* function) {
  return library_file_of(reinterpret_cast<const void*>(function)).string();
}

GpuFound found_gpu(const GpuVendor& vendor, const CudaRuntime& cuda, int index) {
  GpuFound gpu;
  char name[256] = {};
  cuda.check(cuda.device_name(name, sizeof name, index), "asking for a GPU's name");
  gpu.name = name;
  CudaUuid uuid{};
  cuda.check(cuda.device_uuid(&uuid, index), "asking for a GPU's identity");
  gpu.uuid = text_of(uuid);
  std::size_t bytes = 0;
  cuda.check(cuda.device_total_memory(&bytes, index), "asking for a GPU's memory");
  gpu.memory_bytes = static_cast<std::int64_t>(bytes);
  if (vendor.oldest_capability != 0) gpu.capability = capability_text(cuda, index);
  try {
    check_capability(vendor, cuda, index, gpu.name);
  } catch (const Error& error) {
    gpu.problem = error.problem();
    gpu.fix = error.fix();
  }
  return gpu;
}

// Where the runtime did not open, the driver may still be seen.
GpuPart driver_without_runtime(const GpuPart& runtime) {
  const std::string version =
      parse_nvidia_driver(system_text("/proc/driver/nvidia/version").value_or(""));
  if (!version.empty()) return {.found = version};
  return {.problem = "/proc/driver/nvidia/version tells of none", .fix = runtime.fix};
}

void compute_on_first(const GpuVendor& vendor) {
  const at::NoGradGuard no_tape;
  const Gpu gpu(vendor, 0);
  const at::Tensor ones = at::ones({2}, at::TensorOptions(gpu.device()).dtype(at::kFloat));
  CLOZE_REQUIRE(ones.sum().item<float>() == 2.0F, ExitCode::kTransient,
                str(gpu.name(), " does not add 1 and 1"), "run nvidia-smi and look at dmesg");
}

// Tells what is being tried, tries it, and keeps what it throws.
class Steps {
 public:
  Steps(GpuSetup& setup, const std::function<void(const GpuSetup&)>& progress)
      : setup_(setup), progress_(progress) {}

  void operator()(const std::string& doing, GpuPart& part, const std::function<void()>& step) {
    setup_.doing = doing;
    progress_(setup_);
    try {
      step();
    } catch (const std::exception& thrown) {
      keep(error_of(thrown), part);
    }
  }

 private:
  static void keep(const Error& error, GpuPart& part) {
    part.problem = error.problem();
    part.fix = error.fix();
  }

  GpuSetup& setup_;
  const std::function<void(const GpuSetup&)>& progress_;
};

}  // namespace

GpuSources sources_of(const GpuVendor& vendor, bool also_start) {
  GpuSources sources{.vendor = vendor,
                     .prepare_environment =
                         [] {
                           check_gpu_environment();
                           prepare_gpu_environment();
                         },
                     .open_torch = [&vendor] { return open_torch_library(vendor).file(); },
                     .open_kernels = [&vendor] { return open_kernel_library(vendor).file(); },
                     .open_nccl = [&vendor] { return open_nccl_library(vendor.collectives); },
                     .nccl_shares = &nccl_may_share_gpus,
                     .start = nullptr};
  if (also_start) sources.start = [&vendor] { compute_on_first(vendor); };
  return sources;
}

GpuSetup look_for_gpus(const GpuSources& sources,
                       const std::function<void(const GpuSetup&)>& progress) {
  const GpuVendor& vendor = sources.vendor;
  GpuSetup setup;
  Steps step(setup, progress);
  setup.nccl_shares = sources.nccl_shares();
  step("reading the environment", setup.environment, [&] {
    setup.environment.found = "NCCL_COMM_ID is set";  // Unless it is not.
    sources.prepare_environment();
    setup.environment.found = "NCCL_COMM_ID is not set";
  });
  std::optional<CudaRuntime> cuda;
  step("opening the runtime", setup.runtime, [&] {
    cuda = vendor.open_runtime();
    int version = 0;
    cuda->check(cuda->runtime_version(&version), "asking for the runtime's version");
    setup.runtime.found = str("CUDA ", cuda_version_text(version));
    setup.runtime.detail = file_of(cuda->runtime_version);
  });
  if (cuda && setup.runtime.problem.empty()) {
    step("counting the GPUs", setup.visible, [&] {
      const int count = count_gpus(*cuda);
      for (int index = 0; index < count; ++index) {
        setup.gpus.push_back(found_gpu(vendor, *cuda, index));
      }
    });
    step("asking for the driver's version", setup.driver, [&] {
      int version = 0;
      cuda->check(cuda->driver_version(&version), "asking for the driver's version");
      CLOZE_REQUIRE(version > 0, ExitCode::kUsage, "CUDA's runtime finds no driver",
                    "install NVIDIA's driver, or train with --device cpu");
      setup.driver.found = driver_text(*cuda);
      setup.driver.detail = str("takes programs of CUDA up to ", cuda_version_text(version));
    });
  } else {
    setup.driver = driver_without_runtime(setup.runtime);
  }
  step(str("opening ", vendor.kernel_library), setup.kernels, [&] {
    const std::filesystem::path file = sources.open_kernels();
    setup.kernels.found = hex_of(digest_of(File::open_for_reading(file)));
    setup.kernels.detail = file.string();
  });
  // The largest after the others: what it may break is known by then.
  step(str("opening ", vendor.torch_library), setup.torch, [&] {
    setup.torch.detail = sources.open_torch().string();
    setup.torch.found = TORCH_VERSION;
  });
  // As in training: LibTorch may bring its own along.
  step(str("opening ", vendor.collectives), setup.nccl, [&] {
    const NcclLibrary nccl = sources.open_nccl();
    const int version = version_of(nccl);
    setup.nccl.found = nccl_version_text(version);
    setup.nccl.detail = file_of(nccl.get_version);
    if (!setup.nccl_shares) return;
    step(setup.doing, setup.sharing, [&] { check_nccl_of_one_gpu(version); });
  });
  const bool can_start = !setup.gpus.empty() && setup.gpus.front().problem.empty() &&
                         setup.environment.problem.empty() && setup.kernels.problem.empty() &&
                         setup.torch.problem.empty();
  if (sources.start != nullptr && can_start) {
    step("computing on the first GPU", setup.start, [&] {
      const auto start = Clock::now();
      sources.start();
      setup.start.found = value_text({.name = "", .value = seconds_since(start), .unit = "s"});
      setup.start.detail = "a tensor was made and added on the first GPU, by one rank";
    });
  }
  setup.doing.clear();
  progress(setup);
  return setup;
}

GpuSetup look_in_copy(const GpuSources& sources, std::chrono::milliseconds limit) {
  const ProgramOutput output = run_copy(
      [&] {
        look_for_gpus(sources, [](const GpuSetup& setup) {
          // The rest of a line may be a library's that did not end it.
          const std::string line = str("\n", kMark, pack(setup), "\n");
          std::fwrite(line.data(), 1, line.size(), stdout);
          std::fflush(stdout);
        });
        return 0;
      },
      limit);
  GpuSetup setup;
  setup.doing = "before it says what it has found";
  for (const std::string_view line : lines_of(output.text)) {
    if (!line.starts_with(kMark)) continue;
    try {
      setup = unpack_gpus(std::string(line.substr(kMark.size())));
    } catch (const std::exception&) {
      continue;  // Cut off, where the process ended or printed too much: the one before stands.
    }
  }
  if (output.timed_out) {
    setup.ended = str("does not end within ",
                      std::chrono::duration_cast<std::chrono::seconds>(limit).count(), " s");
  } else if (output.code != 0 || !setup.doing.empty()) {
    setup.ended = str("ends with ", output.code);
  }
  return setup;
}

std::vector<RankGpus> gather_gpus(Communicator& world, const RankGpus& mine) {
  const std::vector<std::string> hosts = gather_texts(world, mine.host);
  const std::vector<std::string> places = gather_texts(world, str(mine.place));
  const std::vector<std::string> setups = gather_texts(world, pack(mine.setup));
  std::vector<RankGpus> all;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    all.push_back({.rank = static_cast<int>(i),
                   .host = hosts[i],
                   .place = std::stoi(places[i]),
                   .setup = unpack_gpus(setups[i])});
  }
  return all;
}

}  // namespace cloze
