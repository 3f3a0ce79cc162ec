#include "trainer/bench/checkpoint_bench.h"

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "trainer/bench/figure_text.h"
#include "trainer/doctor/disk.h"
#include "trainer/doctor/median.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/checkpointing.h"
#include "trainer/loop/header.h"

namespace cloze {
namespace {

// Seconds until the slowest rank is done.
double timed(Communicator& world, const std::function<void()>& work) {
  world.barrier();
  const auto start = Clock::now();
  work();
  world.barrier();
  return seconds_since(start);
}

// Removes the folder at its end, and those above it that were not there: on rank 0.
class TemporaryFolder {
 public:
  TemporaryFolder(std::filesystem::path path, bool leads) : path_(std::move(path)), leads_(leads) {
    std::error_code error;
    std::filesystem::path above = std::filesystem::absolute(path_, error).parent_path();
    // A link that leads nowhere is there too.
    while (!above.empty() && std::filesystem::symlink_status(above, error).type() ==
                                 std::filesystem::file_type::not_found) {
      made_.push_back(above);
      above = above.parent_path();
    }
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    if (!leads_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    // Whoever put something into them keeps them.
    for (const std::filesystem::path& above : made_) std::filesystem::remove(above, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::filesystem::path path_;
  const bool leads_;
  std::vector<std::filesystem::path> made_;  // The innermost first.
};

std::int64_t bytes_of(const std::filesystem::path& folder) {
  std::int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  }
  return bytes;
}

double rate(std::int64_t bytes, const std::vector<double>& seconds) {
  return static_cast<double>(bytes) / median_of(seconds);
}

}  // namespace

double CheckpointFigures::save_bytes_per_second() const { return rate(bytes, save_seconds); }
double CheckpointFigures::load_bytes_per_second() const { return rate(bytes, load_seconds); }

CheckpointFigures bench_checkpoint(TrainingState& state, int rounds) {
  Communicator& world = *state.groups().world;
  const bool leads = world.rank() == 0;
  const std::string token = save_token(world);
  std::string beside = state.run().checkpoint().directory();
  while (beside.size() > 1 && beside.back() == '/') beside.pop_back();
  const TemporaryFolder folder(beside + "-bench-" + token, leads);
  const RunFacts facts{
      .config_yaml = "", .dataset_fingerprint = "bench", .tokenizer_digest = "", .numerics = {}};
  CheckpointFigures figures;
  figures.parameters = num_parameters(state);
  for (int round = 1; round <= rounds; ++round) {
    Progress progress;
    progress.step = round;
    progress.run_id = "bench-" + token;
    const std::filesystem::path step = folder.path() / step_folder_name(round);
    figures.save_seconds.push_back(
        timed(world, [&] { save_checkpoint(state, progress, facts, folder.path()); }));
    figures.load_seconds.push_back(timed(world, [&] { load_checkpoint(state, step); }));
    together(world, [&] {
      if (!leads) return;
      figures.bytes = bytes_of(step);
      std::filesystem::remove_all(step);
    });
  }
  together(world, [&] {
    if (!leads) return;
    const DiskTimes disk = measure_disk(folder.path(), "bench", figures.bytes);
    figures.write_seconds =
        disk.write_seconds * static_cast<double>(figures.bytes) / static_cast<double>(disk.bytes);
  });
  return figures;
}

nlohmann::ordered_json json_of(const CheckpointFigures& figures) {
  return {{"bench", "checkpoint"},
          {"parameters", figures.parameters},
          {"bytes", figures.bytes},
          {"save_seconds", median_of(figures.save_seconds)},
          {"load_seconds", median_of(figures.load_seconds)},
          {"save_seconds_each", figures.save_seconds},
          {"load_seconds_each", figures.load_seconds},
          {"save_bytes_per_second", figures.save_bytes_per_second()},
          {"load_bytes_per_second", figures.load_bytes_per_second()},
          {"device_write_seconds", figures.write_seconds}};
}

std::vector<std::string> lines_of(const CheckpointFigures& figures) {
  return {str("save | ", text_of(figures.bytes, "bytes"), " in ",
              text_of(median_of(figures.save_seconds), "s"), ", ",
              text_of(figures.save_bytes_per_second(), "bytes/s"), "; the device alone takes ",
              text_of(figures.write_seconds, "s")),
          str("load | ", text_of(median_of(figures.load_seconds), "s"), ", ",
              text_of(figures.load_bytes_per_second(), "bytes/s"))};
}

}  // namespace cloze
