#include "trainer/cli/doctor_measure.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <set>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/base/file.h"
#include "parallel/base/join.h"
#include "parallel/comm/clock_offset.h"
#include "trainer/doctor/median.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/throughput.h"

namespace cloze {
namespace {

void send(Communicator& world, const at::Tensor& message, int peer) {
  world.exchange(std::vector<Transfer>{{message, peer}}, {}).wait();
}

void receive(Communicator& world, const at::Tensor& message, int peer) {
  world.exchange({}, std::vector<Transfer>{{message, peer}}).wait();
}

struct Rounds {
  std::int64_t bytes;
  int warm_up;
  int most;        // Rounds that count.
  double seconds;  // No new round after this.
};

// Median seconds of a message there and one of the same size back; 0 on the second rank. The first
// number of a message says whether another round follows.
double round_trip(Communicator& world, int first, int second, const Rounds& rounds) {
  at::Tensor message = at::zeros({rounds.bytes / 8}, at::kLong);
  auto* go_on = message.data_ptr<std::int64_t>();
  if (world.rank() == second) {
    do {
      receive(world, message, first);
      send(world, message, first);
    } while (*go_on != 0);
    return 0;
  }
  std::vector<double> times;
  const auto start = Clock::now();
  for (int round = 0;; ++round) {
    const bool last = round + 1 == rounds.warm_up + rounds.most ||
                      (round >= rounds.warm_up && seconds_since(start) > rounds.seconds);
    *go_on = last ? 0 : 1;
    const auto begin = Clock::now();
    send(world, message, second);
    receive(world, message, second);
    if (round >= rounds.warm_up) times.push_back(seconds_since(begin));
    if (last) break;
  }
  return median_of(std::move(times));
}

// Rank r is the first of the pair (r, r + 1); of two ranks there is one pair.
std::vector<PairTimes> measure_pairs(Communicator& world) {
  constexpr Rounds kSmall{.bytes = 8, .warm_up = 20, .most = 200, .seconds = 0.5};
  constexpr Rounds kLarge{.bytes = std::int64_t{4} << 20, .warm_up = 2, .most = 20, .seconds = 0.5};
  const int size = world.size();
  const int num_pairs = size == 2 ? 1 : size;
  at::Tensor mine = at::zeros({1, 2}, at::kDouble);
  for (int first = 0; first < num_pairs; ++first) {
    const int second = (first + 1) % size;
    world.barrier();  // One pair at a time: the others do not load the network.
    if (world.rank() != first && world.rank() != second) continue;
    const double small = round_trip(world, first, second, kSmall);
    const double large = round_trip(world, first, second, kLarge);
    if (world.rank() != first) continue;
    mine[0][0] = small;
    mine[0][1] = large;
  }
  at::Tensor all = at::empty({size, 2}, at::kDouble);
  world.all_gather(all, mine).wait();
  std::vector<PairTimes> pairs;
  for (int first = 0; first < num_pairs; ++first) {
    pairs.push_back(pair_times(first, (first + 1) % size, all[first][0].item<double>(),
                               all[first][1].item<double>(), kLarge.bytes));
  }
  return pairs;
}

std::vector<double> measure_all_reduce(Communicator& world, std::int64_t bytes) {
  constexpr int kMost = 11;
  constexpr double kSeconds = 2;
  at::Tensor tensor = at::zeros({bytes / 4}, at::kFloat);
  std::vector<double> times;
  double elapsed = 0;
  for (int round = 0; round < kMost && elapsed < kSeconds; ++round) {
    world.barrier();
    const auto start = Clock::now();
    world.all_reduce(tensor, ReduceOp::kSum).wait();
    // The slowest rank's time, so that all agree on when to stop.
    const double slowest = largest_of(world, seconds_since(start));
    elapsed += slowest;
    // The first one warms up, and counts only when it is the only one.
    if (round == 1) times.clear();
    times.push_back(slowest);
  }
  return times;
}

std::vector<ClockOffset> measure_clocks(Communicator& world,
                                        const std::function<double()>& wall_clock) {
  const ClockReading reading =
      read_clock_offset(world, [&] { return static_cast<std::int64_t>(wall_clock() * 1e9); });
  at::Tensor mine = at::empty({1, 2}, at::kDouble);
  mine[0][0] = 1e-9 * static_cast<double>(-reading.offset);  // It tells how far rank 0 is ahead.
  mine[0][1] = 1e-9 * static_cast<double>(reading.uncertainty);
  at::Tensor all = at::empty({world.size(), 2}, at::kDouble);
  world.all_gather(all, mine).wait();
  std::vector<ClockOffset> offsets;
  for (int rank = 0; rank < world.size(); ++rank) {
    offsets.push_back(
        {.seconds = all[rank][0].item<double>(), .uncertainty = all[rank][1].item<double>()});
  }
  return offsets;
}

std::vector<double> gather(Communicator& world, double number) {
  at::Tensor all = at::empty({world.size()}, at::kDouble);
  world.all_gather(all, at::full({1}, number, at::kDouble)).wait();
  const auto* first = all.const_data_ptr<double>();
  return {first, first + world.size()};
}

}  // namespace

FabricTimes measure_fabric(Communicator& world, const std::string& host,
                           const std::function<double()>& wall_clock) {
  FabricTimes times{.hosts = gather_texts(world, host), .all_reduce_bytes = std::int64_t{4} << 20};
  times.pairs = measure_pairs(world);
  times.all_reduce_seconds = measure_all_reduce(world, times.all_reduce_bytes);
  times.clocks = measure_clocks(world, wall_clock);
  world.barrier();
  return times;
}

GemmRates measure_gemm(Communicator& world, int threads) {
  GemmRates rates;
  world.barrier();  // All ranks at once, as in training.
  at::set_num_threads(1);
  rates.one_thread = gather(world, matrix_rate());
  world.barrier();
  at::set_num_threads(threads);
  rates.all_threads = gather(world, matrix_rate());
  for (const double count : gather(world, threads)) {
    rates.threads.push_back(static_cast<int>(count));
  }
  return rates;
}

CheckResult check_shared_folder(Communicator& world, const std::string& host,
                                const std::filesystem::path& directory, const std::string& name) {
  // One name for all: rank 0's.
  const std::string probe = broadcast_text(world, name, 0);
  const std::filesystem::path path = directory / (probe + "-shared");
  std::error_code ignored;
  bool made = true;
  if (world.rank() == 0) {
    try {
      File::create(path).close();
    } catch (const Error&) {
      made = false;
    }
  }
  made = largest_of(world, std::int64_t{!made}) == 0;
  const bool seen = std::filesystem::exists(path, ignored);
  const std::vector<std::string> hosts = gather_texts(world, seen ? "" : host);
  if (world.rank() == 0) std::filesystem::remove(path, ignored);
  CheckResult check{.name = "disk.shared", .scope = Scope::kJob};
  if (!made) {
    check.status = Status::kSkip;
    check.detail = "rank 0 cannot write to it";
    return check;
  }
  std::set<std::string> blind(hosts.begin(), hosts.end());
  blind.erase("");
  check.value = std::string(blind.empty() ? "all hosts see one folder" : "not one folder");
  if (!blind.empty()) {
    complain(check, Status::kFail,
             str("what rank 0 makes in ", directory.string(), " is not there on ",
                 join({blind.begin(), blind.end()}), ": a checkpoint would be torn apart"),
             "use a folder that all hosts mount, such as NFS, for run.directory and checkpoints");
  }
  return check;
}

}  // namespace cloze
