#include "trainer/loop/step_traces.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/comm/clock_offset.h"
#include "parallel/trace/host_clock.h"
#include "parallel/trace/merge_traces.h"
#include "parallel/trace/trace_file.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/doctor/host_checks.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// An empty folder for the files: what another layout left there would be taken for ours.
void make_empty(const std::filesystem::path& folder) {
  make_directories(folder);
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("rank-") || name.starts_with(kMergedTraceName)) {
      stale.push_back(entry.path());
    }
  }
  for (const std::filesystem::path& path : stale) {
    if (!error) std::filesystem::remove(path, error);
  }
  CLOZE_REQUIRE(!error, ExitCode::kCannotWrite,
                str("cannot empty ", folder.string(), ": ", error.message()),
                "check its permissions");
}

ClockReading read_clock(Communicator& world) {
  return share_clock(world, read_clock_offset(world), host_clock_id());
}

// Makes `link` name `target`, a path from the link's folder; there is no moment without a link.
void point_to(const std::filesystem::path& link, const std::filesystem::path& target) {
  std::filesystem::path temporary = link;
  temporary += str(".tmp-", ::getpid());
  std::error_code error;
  std::filesystem::remove(temporary, error);
  std::filesystem::create_symlink(target, temporary, error);
  if (!error) std::filesystem::rename(temporary, link, error);
  CLOZE_REQUIRE(!error, ExitCode::kCannotWrite,
                str("cannot link ", link.string(), " to ", target.string(), ": ", error.message()),
                str("open ", (link.parent_path() / target).string(), ", which is whole"));
}

}  // namespace

StepTraces::StepTraces(std::vector<std::int64_t> steps, std::filesystem::path folder,
                       const Groups& groups)
    : steps_(std::move(steps)), folder_(std::move(folder)), groups_(groups) {
  if (steps_.empty()) return;
  trace_.emplace();
  record_calls(groups, *trace_);
}

StepTraces::~StepTraces() {
  if (trace_) stop_recording(groups_);
}

bool StepTraces::is_traced(std::int64_t step) const {
  return std::ranges::binary_search(steps_, step);
}

void StepTraces::before_step(std::int64_t step) {
  if (!trace_ || !is_traced(step)) return;
  if (!trace_->is_on()) {
    clock_at_begin_ = read_clock(*groups_.world);
    trace_->begin();
  }
  trace_->set_step(step);
}

std::optional<WrittenTrace> StepTraces::after_step(std::int64_t step, bool is_last) {
  if (!trace_ || !trace_->is_on() || (is_traced(step + 1) && !is_last)) return std::nullopt;
  trace_->end();
  WrittenTrace written;
  written.first_step = trace_->steps().front();
  written.last_step = step;
  written.file = folder_ / step_folder_name(written.first_step) / kMergedTraceName;
  written.num_dropped = sum_of(*groups_.world, trace_->num_dropped());
  try {
    write(written);
  } catch (const AgreedError& error) {
    written.problem = error.problem();
    written.fix = error.fix();
  }
  trace_->forget();
  return written;
}

void StepTraces::write(WrittenTrace& written) {
  Communicator& world = *groups_.world;
  const std::filesystem::path folder = written.file.parent_path();
  TraceProcess process;
  process.rank = world.rank();
  process.num_ranks = world.size();
  process.host = host_name();
  process.coordinates = {
      {"stage", groups_.at.pipeline}, {"data", groups_.at.data}, {"tensor", groups_.at.tensor}};
  const ClockReading clock_at_end = read_clock(world);
  if (world.rank() > 0) process.clock = ClockAlignment(clock_at_begin_, clock_at_end);
  // The first rank's begin is time 0.
  process.origin = -largest_of(world, -process.clock.aligned(trace_->began()));
  together(world, [&] {
    if (world.rank() == 0) make_empty(folder);
  });
  together(world, [&] { write_trace(*trace_, process, folder / rank_trace_name(world.rank())); });
  together(world, [&] {
    if (world.rank() != 0) return;
    merge_traces(folder, world.size());
    point_to(folder_ / kMergedTraceName, folder.filename() / kMergedTraceName);
  });
}

}  // namespace cloze
