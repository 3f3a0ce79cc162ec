// `cloze train`: alone, or as one rank of many under mpirun or srun.
#include <ATen/Parallel.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "parallel/comm/groups.h"
#include "trainer/cli/agreed_config.h"
#include "trainer/cli/command.h"
#include "trainer/cli/gpu_job.h"
#include "trainer/cli/job.h"
#include "trainer/cli/train_arguments.h"
#include "trainer/config/load.h"
#include "trainer/config/rules.h"
#include "trainer/doctor/cores.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/compute_device.h"
#include "trainer/loop/numerics.h"
#include "trainer/loop/trainer.h"
#include "trainer/model/glm.h"

namespace cloze {
namespace {

Resume resume_of(const std::string& text) {
  if (text == "strict") return Resume::kStrict;
  return text == "none" ? Resume::kNone : Resume::kAuto;
}

// Ranks of two builds would train, and nobody could say what.
void require_one_build(Communicator& world, const Numerics& build) {
  require_same(world, packed(build), "build of the program",
               [](const std::string& most, const std::string& other) {
                 return text_of(find_changes(unpacked(most), unpacked(other)));
               });
}

// On GPUs the library of the GPU multiplies.
void require_products_of_gpus(const config::Run& run) {
  CLOZE_REQUIRE(run.precision().products() == config::Precision::library, ExitCode::kUsage,
                "precision.products is tiles, which are a CPU's, and the run is on GPUs",
                "leave it at library, or train without --device");
}

int train(const TrainArguments& arguments) {
  StopSignals signals;  // Before MPI starts threads, which inherit the mask.
  JobPlace place;
  const GpuVendor* const vendor = gpu_vendor_of(arguments.device);
  if (vendor != nullptr) prepare_gpu_environment();
  return run_job(place, [&](MpiSession& session, Communicator& world) {
    std::optional<Gpu> gpu;
    if (vendor != nullptr) {
      place.phase = "gpu";
      together(world, [&] {
        check_gpu_environment();
        gpu.emplace(*vendor, session.local_rank());
      });
      place.phase = "start";
    }
    Numerics build;
    together(world, [&] {
      build = build_of("/proc/self/exe", gpu ? gpu->kernel_file() : std::filesystem::path());
    });
    require_one_build(world, build);
    const LoadedConfig loaded =
        agreed_config(world, [&] { return load_for_training(arguments, session.world_size()); });
    const config::Run& run = loaded.run;
    Numerics numerics;
    int threads = 0;
    together(world, [&] {
      numerics = numerics_of_process(build);
      threads = threads_of(run.run().threads(), session.local_size());
    });
    require_same(world, arguments.resume + " " + join(arguments.allowed_changes),
                 "--resume or --allow-change");
    session.set_deadline(std::chrono::seconds(run.run().deadline_seconds()));
    at::set_num_threads(threads);
    const Mesh mesh(degrees_of(run.parallel(), session.world_size()));
    const int replicas = kv_replicas(run.model(), mesh.degrees().tensor);
    std::optional<GpuJob> gpus;
    if (gpu) {
      place.phase = "gpu";
      together(world, [&] { require_products_of_gpus(run); });
      gpus.emplace(*gpu, session, world,
                   GpuJobOptions{.share_gpus = arguments.share_gpus,
                                 .record_folder = run.run().directory()});
    }
    const Groups groups = gpus ? gpus->connect(mesh, replicas) : connect(mesh, session, replicas);
    const ComputeDevice device = gpus ? gpus->device() : cpu_device(run, world);
    numerics.merge(gpus ? gpus->numerics() : numerics_of(device));
    Trainer trainer(run, groups, signals,
                    {.resume = resume_of(arguments.resume),
                     .allowed_changes = arguments.allowed_changes,
                     .origin = loaded.origin,
                     .numerics = gather_numerics(world, numerics),
                     .device = device},
                    place);
    return static_cast<int>(trainer.run());
  });
}

}  // namespace

void add_train_command(Command root) {
  auto arguments = std::make_shared<TrainArguments>();
  const Command command =
      root.subcommand("train", "Pretrains a model, under mpirun, srun, or alone (one rank)");
  add_train_options(command, *arguments);
  command.runs([arguments] { return train(*arguments); });
}

}  // namespace cloze
