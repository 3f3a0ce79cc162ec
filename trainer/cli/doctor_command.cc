// `cloze doctor`: what is there, what is wrong, measured. Alone it looks at this host; under mpirun
// at all hosts of the job, and at what lies between them.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/comm/groups.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/mpi_library.h"
#include "parallel/comm/mpi_session.h"
#include "parallel/gpu/vendor.h"
#include "trainer/cli/command.h"
#include "trainer/cli/doctor_gpus.h"
#include "trainer/cli/doctor_measure.h"
#include "trainer/cli/job.h"
#include "trainer/cli/report_error.h"
#include "trainer/cli/train_arguments.h"
#include "trainer/doctor/cores.h"
#include "trainer/doctor/devices.h"
#include "trainer/doctor/gpus.h"
#include "trainer/doctor/host_checks.h"
#include "trainer/doctor/mpi_checks.h"
#include "trainer/doctor/program.h"
#include "trainer/doctor/report.h"
#include "trainer/doctor/system_text.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

struct DoctorArguments {
  bool json = false;
  std::filesystem::path directory = ".";
  std::string device{};  // Empty: GPUs are looked at, and none need be there.
  bool share_gpus = false;
};

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Prints the report. Its failures are faults of the set-up, which no restart mends and which a user
// can change: they end with the code of a wrong command line or config.
ExitCode print(const std::vector<Finding>& findings, bool json) {
  std::string text;
  if (json) {
    text = report_json(findings).dump(-1, ' ', false,
                                      nlohmann::ordered_json::error_handler_t::replace) +
           "\n";
  } else {
    for (const std::string& line : report_lines(findings)) text += line + "\n";
    text += tally_text(findings) + "\n";
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  require_standard_output();
  const auto first = std::ranges::find(findings, Status::kFail,
                                       [](const Finding& finding) { return finding.check.status; });
  if (first == findings.end()) return ExitCode::kDone;
  const int failed = count_of(findings, Status::kFail);
  report_error(
      Error(ExitCode::kUsage,
            str(failed, failed == 1 ? " check failed: " : " checks failed, the first: ",
                first->check.name, ": ", value_text(first->check), ", ", first->check.detail),
            first->check.fix),
      0, "doctor");
  return ExitCode::kUsage;
}

// Of what is tried in a copy of this process.
constexpr std::chrono::seconds kTryLimit(60);

// Starts and ends MPI in a copy of this process: where MPI ends the process, or waits for ever,
// this one goes on and tells.
CheckResult try_mpi() {
  const auto start = Clock::now();
  const ProgramOutput output = run_copy(
      [] {
        try {
          int argc = 0;
          char** argv = nullptr;
          const MpiSession session(argc, argv);
        } catch (const Error& error) {
          std::fputs(error.problem().c_str(), stderr);
          return static_cast<int>(error.code());
        }
        return 0;
      },
      kTryLimit);
  CheckResult check{.name = "mpi.start", .value = seconds_since(start), .unit = "s"};
  check.detail = "MPI started and ended, on one rank";
  if (output.code == 0 && !output.timed_out) return check;
  check.status = Status::kFail;
  check.detail = output.timed_out ? str("MPI does not start within ", kTryLimit.count(), " s")
                                  : str("MPI does not start, it ends with ", output.code);
  std::string said;
  for (const std::string_view line : lines_of(output.text)) {
    // Open MPI frames what it says with lines of dashes.
    const std::string_view words = trimmed(line);
    if (words.empty() || words.find_first_not_of("-*") == std::string_view::npos) continue;
    if (said.size() + words.size() > 600) break;
    said += str(said.empty() ? ": " : " ", words);
  }
  check.detail += said;
  check.fix = "mend what failed above first; else what MPI says here";
  return check;
}

bool adds_tensor() {
  const at::NoGradGuard no_tape;
  return at::ones({2}).sum().item<float>() == 2.0F;
}

// A tensor in a copy of this process: LibTorch reads what the system tells of the CPU and its
// caches, and where that is missing it ends some processes with a signal.
CheckResult try_libtorch() {
  const ProgramOutput output = run_copy([] { return adds_tensor() ? 0 : 1; }, kTryLimit);
  CheckResult check{.name = "cpu.libtorch", .value = std::string(TORCH_VERSION)};
  if (output.code == 0 && !output.timed_out) {
    // At once: where the system tells LibTorch nothing, it reads memory that is not its own, and
    // whether that does depends on what lies there.
    adds_tensor();
    return check;
  }
  complain(check, Status::kFail,
           output.timed_out ? str("LibTorch does not start within ", kTryLimit.count(), " s")
                            : str("a process with a tensor ends with ", output.code),
           "give the container /proc/cpuinfo and /sys/devices/system/cpu, which LibTorch reads");
  return check;
}

std::vector<CheckResult> mpi_checks(bool launched) {
  const std::string library = mpi_library_version();
  return {check_mpi_library(library), check_mpirun(library, find_mpirun(), launched)};
}

// Null where the user wants no GPU.
const GpuVendor* vendor_of(const DoctorArguments& arguments) {
  return arguments.device.empty() ? &gpu_vendors().front() : gpu_vendor_of(arguments.device);
}

// While this process has one thread. Opening the libraries of a GPU may read gigabytes.
GpuSetup try_gpus(const DoctorArguments& arguments, bool also_start) {
  constexpr std::chrono::seconds kGpuLimit(180);
  const GpuVendor* const vendor = vendor_of(arguments);
  return vendor == nullptr ? GpuSetup() : look_in_copy(sources_of(*vendor, also_start), kGpuLimit);
}

GpuWish gpu_wish(const DoctorArguments& arguments, int world_size) {
  return {.is_asked = !arguments.device.empty() && vendor_of(arguments) != nullptr,
          .share_gpus = arguments.share_gpus,
          .world_size = world_size,
          .accelerators = accelerators_of(names_in("/dev"))};
}

std::vector<CheckResult> gpu_checks(const GpuSetup& setup, const DoctorArguments& arguments,
                                    int world_size) {
  if (vendor_of(arguments) == nullptr) return skip_gpus();
  return check_gpus(setup, gpu_wish(arguments, world_size));
}

std::string probe_name() { return str(".cloze-doctor-", host_name(), "-", ::getpid()); }

// Of a process that no launcher has started. MPI is not needed for what it measures.
int examine_alone(const DoctorArguments& arguments) {
  // While this process has one thread.
  const CheckResult start = try_mpi();
  const GpuSetup gpus = try_gpus(arguments, /*also_start=*/true);
  const CheckResult libtorch = try_libtorch();
  const at::NoGradGuard no_tape;
  const std::string host = host_name();
  const RankPlace place = place_of_rank(0, host, threads_of("auto", /*ranks_of_node=*/1));
  LocalWorld alone(1);
  const auto world = alone.communicator("world", alone.everyone(), 0);
  RankChecks mine{.rank = 0, .host = host};
  mine.checks = check_host({.directory = arguments.directory, .probe_name = probe_name()});
  append(mine.checks, mpi_checks(/*launched=*/false));
  mine.checks.push_back(start);
  mine.checks.push_back(check_binding(place));
  mine.checks.push_back(libtorch);
  append(mine.checks, libtorch.status == Status::kOk
                          ? check_gemm(measure_gemm(*world, place.threads))
                          : skip_gemm());
  append(mine.checks, gpu_checks(gpus, arguments, /*world_size=*/1));
  append(mine.checks, skip_fabric());
  return static_cast<int>(print(merge({mine}), arguments.json));
}

CheckResult check_ranks(int world_size) {
  return {.name = "mpi.ranks",
          .value = std::int64_t{world_size},
          .unit = world_size == 1 ? "rank" : "ranks",
          .scope = Scope::kJob};
}

// The findings of the whole job; on rank 0, empty elsewhere.
std::vector<Finding> examine_job(MpiSession& session, Communicator& world, const GpuSetup& gpus,
                                 const DoctorArguments& arguments) {
  const std::string host = host_name();
  const RankPlace place =
      place_of_rank(world.rank(), host, threads_of("auto", session.local_size()));
  RankChecks mine{.rank = world.rank(), .host = host};
  if (session.local_rank() == 0) {
    mine.checks = check_host({.directory = arguments.directory,
                              .probe_name = probe_name(),
                              .ranks_of_host = session.local_size(),
                              .world_size = world.size()});
    append(mine.checks, mpi_checks(/*launched=*/true));
  }
  mine.checks.push_back(check_binding(place));
  mine.checks.push_back(check_thread_level(mpi_thread_level()));
  append(mine.checks, gpu_checks(gpus, arguments, world.size()));
  std::vector<RankChecks> ranks;
  for (const std::string& text : gather_texts(world, pack(mine))) {
    ranks.push_back(unpack_rank(text));
  }
  const std::vector<RankGpus> rank_gpus =
      gather_gpus(world, {world.rank(), host, session.local_rank(), gpus});
  std::vector<RankPlace> places;
  for (const std::string& text : gather_texts(world, pack(place))) {
    places.push_back(unpack_place(text));
  }
  const GemmRates rates = measure_gemm(world, place.threads);
  RankChecks job{.rank = 0};
  append(job.checks, check_gemm(rates));
  job.checks.push_back(check_ranks(world.size()));
  append(job.checks, check_gpus_of_job(rank_gpus, gpu_wish(arguments, world.size())));
  if (world.size() > 1) {
    const FabricTimes times = measure_fabric(world, host, wall_clock);
    if (std::set<std::string>(times.hosts.begin(), times.hosts.end()).size() > 1) {
      job.checks.push_back(check_shared_folder(world, host, arguments.directory, probe_name()));
    }
    if (world.rank() == 0) {
      append(job.checks, check_fabric(times, config::Job().deadline_seconds()));
    }
  } else {
    append(job.checks, skip_fabric());
  }
  if (world.rank() != 0) return {};
  // Of each host the ranks it carries: told in the place of its first rank.
  std::vector<std::string> hosts;
  const std::vector<CheckResult> loads = check_load(places, hosts);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    ranks.push_back({.rank = 0, .host = hosts[i], .checks = {loads[i]}});
  }
  ranks.push_back(job);
  return merge(ranks);
}

int examine_together(const DoctorArguments& arguments) {
  const GpuSetup gpus = try_gpus(arguments, /*also_start=*/false);  // Before MPI has threads.
  JobPlace place;
  place.phase = "doctor";
  return run_job(place, [&](MpiSession& session, Communicator& start) {
    // A call that hangs is a finding; nobody waits ten minutes for it.
    session.set_deadline(std::chrono::seconds(120));
    std::vector<int> everyone(static_cast<std::size_t>(start.size()));
    std::iota(everyone.begin(), everyone.end(), 0);
    const std::unique_ptr<Communicator> world = session.communicator("doctor", everyone);
    const std::vector<Finding> findings = examine_job(session, *world, gpus, arguments);
    const ExitCode code = world->rank() == 0 ? print(findings, arguments.json) : ExitCode::kDone;
    return static_cast<int>(largest_of(*world, static_cast<std::int64_t>(code)));
  });
}

int doctor(const DoctorArguments& arguments) {
  return launched_tasks() == 0 ? examine_alone(arguments) : examine_together(arguments);
}

}  // namespace

void add_doctor_command(Command root) {
  const auto arguments = std::make_shared<DoctorArguments>();
  const Command command = root.subcommand(
      "doctor", "Tells what this machine, or every host under mpirun, lacks for training");
  command.flag("--json", arguments->json, "Print one JSON object");
  command.option("--directory", arguments->directory,
                 "The folder of checkpoints, which is written to; the current one when absent");
  add_device_options(command, arguments->device, arguments->share_gpus,
                     "cuda: what NVIDIA GPUs need must be there; cpu: none is looked for");
  command.runs([arguments] {
    require_shared_device(arguments->device, arguments->share_gpus);
    return doctor(*arguments);
  });
}

}  // namespace cloze
