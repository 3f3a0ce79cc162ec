#include "trainer/bench/comm_bench.h"

#include <ATen/ATen.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "trainer/bench/figure_text.h"
#include "trainer/doctor/median.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

constexpr std::int64_t kSmallest = 1 << 10;
constexpr std::int64_t kFactor = 8;
constexpr int kWarmUp = 2;

// Median seconds of a call that all ranks of `group` make; each round counts with its slowest rank.
double median_of_rounds(Communicator& group, int rounds, const std::function<void()>& call) {
  std::vector<double> times;
  for (int round = -kWarmUp; round < rounds; ++round) {
    group.barrier();
    const auto start = Clock::now();
    call();
    const double slowest = largest_of(group, seconds_since(start));
    if (round >= 0) times.push_back(slowest);
  }
  return median_of(std::move(times));
}

// To the next rank from the one before, as stages and ring attention do.
void pass_on(Communicator& group, const at::Tensor& out, const at::Tensor& in) {
  const int next = (group.rank() + 1) % group.size();
  const int before = (group.rank() + group.size() - 1) % group.size();
  group.exchange(std::vector<Transfer>{{out, next}}, std::vector<Transfer>{{in, before}}).wait();
}

void add_figures(const std::string& name, Communicator& group, const CommBenchOptions& options,
                 std::vector<CommFigure>& figures) {
  const int size = group.size();
  const auto add = [&](const char* operation, std::int64_t bytes,
                       const std::function<void()>& call) {
    figures.push_back({.group = name,
                       .ranks = size,
                       .operation = operation,
                       .bytes = bytes,
                       .seconds = median_of_rounds(group, options.rounds, call)});
  };
  add("barrier", 0, [&] { group.barrier(); });
  for (std::int64_t bytes = kSmallest; bytes <= options.largest_bytes; bytes *= kFactor) {
    const std::int64_t part =
        std::max<std::int64_t>(1, bytes / static_cast<std::int64_t>(sizeof(float)) / size);
    const std::int64_t whole_bytes = part * size * static_cast<std::int64_t>(sizeof(float));
    const at::Tensor whole = at::zeros({part * size});
    const at::Tensor other = at::zeros({part * size});
    const at::Tensor mine = at::zeros({part});
    const std::vector<std::int64_t> rows(static_cast<std::size_t>(size), part);
    add("all_reduce", whole_bytes, [&] { group.all_reduce(whole, ReduceOp::kSum).wait(); });
    add("all_gather", whole_bytes, [&] { group.all_gather(whole, mine).wait(); });
    add("reduce_scatter", whole_bytes,
        [&] { group.reduce_scatter(mine, whole, ReduceOp::kSum).wait(); });
    add("all_to_all", whole_bytes, [&] { group.all_to_all(other, whole, rows, rows).wait(); });
    add("broadcast", whole_bytes, [&] { group.broadcast(whole, 0).wait(); });
    add("exchange", whole_bytes, [&] { pass_on(group, whole, other); });
  }
}

}  // namespace

double CommFigure::bus_bytes_per_second() const {
  const double n = ranks;
  double share = 1;
  if (operation == "all_reduce") share = 2 * (n - 1) / n;
  if (operation == "all_gather" || operation == "reduce_scatter" || operation == "all_to_all") {
    share = (n - 1) / n;
  }
  return share * static_cast<double>(bytes) / seconds;
}

std::vector<CommFigure> bench_comm(const Groups& groups, const CommBenchOptions& options) {
  std::vector<CommFigure> figures;
  const Degrees& degrees = groups.mesh.degrees();
  together(*groups.world, [&] {
    CLOZE_REQUIRE(degrees.world() > 1, ExitCode::kUsage, "there is one rank: nothing to send",
                  "run it under mpirun -n 2, or more");
  });
  if (degrees.tensor > 1) add_figures("tensor", *groups.tensor, options, figures);
  if (degrees.data > 1) add_figures("data", *groups.data, options, figures);
  if (degrees.pipeline > 1) add_figures("pipeline", *groups.pipeline_forward, options, figures);
  const bool one_axis = degrees.tensor == degrees.world() || degrees.data == degrees.world() ||
                        degrees.pipeline == degrees.world();
  if (!one_axis) add_figures("world", *groups.world, options, figures);
  return figures;
}

nlohmann::ordered_json json_of(const std::vector<CommFigure>& figures) {
  nlohmann::ordered_json calls = nlohmann::ordered_json::array();
  for (const CommFigure& figure : figures) {
    calls.push_back({{"group", figure.group},
                     {"ranks", figure.ranks},
                     {"operation", figure.operation},
                     {"bytes", figure.bytes},
                     {"seconds", figure.seconds},
                     {"bus_bytes_per_second", figure.bus_bytes_per_second()}});
  }
  return {{"bench", "comm"}, {"calls", calls}};
}

std::vector<std::string> lines_of(const std::vector<CommFigure>& figures) {
  std::vector<std::string> lines;
  for (const CommFigure& figure : figures) {
    lines.push_back(str(figure.group, " of ", figure.ranks, " | ", figure.operation, " ",
                        text_of(figure.bytes, "bytes"), " | ", text_of(figure.seconds, "s"), ", ",
                        text_of(figure.bus_bytes_per_second(), "bytes/s"), " on a link"));
  }
  return lines;
}

}  // namespace cloze
