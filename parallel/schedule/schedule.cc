#include "parallel/schedule/schedule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// What must have happened, on any rank, before an action can start. Each entry lists the actions
// one of which will do.
std::vector<std::vector<PipelineAction>> dependencies(const PipelineAction& action,
                                                      int num_stages) {
  const auto [kind, stage, microbatch] = action;
  switch (kind) {
    case ActionKind::kForward:
      if (stage == 0) return {};
      return {{{ActionKind::kForward, stage - 1, microbatch}}};
    case ActionKind::kBackwardWeight:
      return {{{ActionKind::kBackwardInput, stage, microbatch}}};
    default:
      break;
  }
  std::vector<std::vector<PipelineAction>> before = {{{ActionKind::kForward, stage, microbatch}}};
  if (stage + 1 < num_stages) {
    before.push_back({{ActionKind::kBackward, stage + 1, microbatch},
                      {ActionKind::kBackwardInput, stage + 1, microbatch}});
  }
  return before;
}

char letter(ActionKind kind) {
  switch (kind) {
    case ActionKind::kForward:
      return 'F';
    case ActionKind::kBackward:
      return 'B';
    case ActionKind::kBackwardInput:
      return 'I';
    case ActionKind::kBackwardWeight:
      return 'W';
  }
  return '?';
}

std::string name(const PipelineAction& action) {
  return str(letter(action.kind), action.microbatch);
}

std::string describe(const PipelineAction& action) {
  return str(name(action), " of stage ", action.stage);
}

bool is_backward_of_input(ActionKind kind) {
  return kind == ActionKind::kBackward || kind == ActionKind::kBackwardInput;
}

Schedule empty_schedule(int num_stages, int num_microbatches) {
  CLOZE_CHECK(num_stages >= 1 && num_microbatches >= 1,
              str("a schedule of ", num_stages, " stages and ", num_microbatches, " microbatches"),
              "both are at least 1");
  return {num_stages, num_microbatches, std::vector<std::vector<PipelineAction>>(num_stages)};
}

// The clock and what has happened so far.
class Simulation {
 public:
  Simulation(const Schedule& schedule, const CostFunction& cost)
      : schedule_(schedule),
        cost_(cost),
        next_(schedule.ranks.size(), 0),
        free_at_(schedule.ranks.size(), 0.0) {}

  // Starts the next action of `rank` if all it depends on is done.
  bool advance(int rank) {
    if (finished(rank)) return false;
    const PipelineAction& action = schedule_.ranks[rank][next_[rank]];
    check_known(rank, action);
    const std::optional<double> ready = ready_at(action);
    if (!ready) return false;
    const double start = std::max(free_at_[rank], *ready);
    const double end = start + cost_(action);
    CLOZE_CHECK(done_.emplace(action, end).second,
                str("rank ", rank, " does ", describe(action), " twice"),
                "a generator must emit each action once");
    timeline_.actions.push_back({action, rank, start, end});
    timeline_.end = std::max(timeline_.end, end);
    free_at_[rank] = end;
    busy_ += end - start;
    ++next_[rank];
    return true;
  }

  bool finished(int rank) const { return next_[rank] == schedule_.ranks[rank].size(); }

  const PipelineAction& next(int rank) const { return schedule_.ranks[rank][next_[rank]]; }

  void check_complete() const {
    for (int stage = 0; stage < schedule_.num_stages; ++stage) {
      for (int m = 0; m < schedule_.num_microbatches; ++m) {
        const auto has = [&](ActionKind kind) { return done_.contains({kind, stage, m}); };
        const bool whole = has(ActionKind::kBackward);
        const bool split = has(ActionKind::kBackwardInput) && has(ActionKind::kBackwardWeight);
        const bool parts = has(ActionKind::kBackwardInput) || has(ActionKind::kBackwardWeight);
        CLOZE_CHECK(has(ActionKind::kForward) && whole != split && whole != parts,
                    str("the schedule lacks or doubles work of stage ", stage, ", microbatch ", m),
                    "each needs one F, and one B or else one I and one W");
      }
    }
  }

  Timeline timeline() && {
    const double total = timeline_.end * static_cast<double>(schedule_.ranks.size());
    timeline_.bubble_fraction = total > 0 ? 1.0 - busy_ / total : 0.0;
    return std::move(timeline_);
  }

 private:
  void check_known(int rank, const PipelineAction& action) const {
    CLOZE_CHECK(
        action.stage >= 0 && action.stage < schedule_.num_stages && action.microbatch >= 0 &&
            action.microbatch < schedule_.num_microbatches,
        str("rank ", rank, " does ", describe(action), ", in a schedule of ", schedule_.num_stages,
            " stages and ", schedule_.num_microbatches, " microbatches"),
        "a generator must stay within its stages and microbatches");
  }

  // When all that `action` waits for is done; nothing while it is not.
  std::optional<double> ready_at(const PipelineAction& action) const {
    double ready = 0;
    for (const auto& alternatives : dependencies(action, schedule_.num_stages)) {
      const auto found = std::ranges::find_if(
          alternatives, [&](const PipelineAction& before) { return done_.contains(before); });
      if (found == alternatives.end()) return std::nullopt;
      ready = std::max(ready, done_.at(*found));
    }
    return ready;
  }

  const Schedule& schedule_;
  const CostFunction& cost_;
  std::map<PipelineAction, double> done_;  // When each action ended.
  std::vector<std::size_t> next_;          // By rank: the first action not yet done.
  std::vector<double> free_at_;            // By rank.
  double busy_ = 0;
  Timeline timeline_;
};

// The microbatches of a stage in the order of its forwards, or of its backwards.
std::vector<int> order_of(const Schedule& schedule, int stage, bool forwards) {
  std::vector<int> order;
  for (const auto& actions : schedule.ranks) {
    for (const PipelineAction& action : actions) {
      const bool wanted =
          forwards ? action.kind == ActionKind::kForward : is_backward_of_input(action.kind);
      if (wanted && action.stage == stage) order.push_back(action.microbatch);
    }
  }
  return order;
}

// Messages between two stages have no label but their order.
void check_order(const Schedule& schedule) {
  for (int stage = 1; stage < schedule.num_stages; ++stage) {
    for (const bool forwards : {true, false}) {
      CLOZE_CHECK(order_of(schedule, stage - 1, forwards) == order_of(schedule, stage, forwards),
                  str("stages ", stage - 1, " and ", stage, " do their ",
                      forwards ? "forwards" : "backwards", " in different orders"),
                  "neighbours must agree, since transfers between them match by order");
    }
  }
}

}  // namespace

Schedule gpipe(int num_stages, int num_microbatches) {
  Schedule schedule = empty_schedule(num_stages, num_microbatches);
  for (int stage = 0; stage < num_stages; ++stage) {
    for (const ActionKind kind : {ActionKind::kForward, ActionKind::kBackward}) {
      for (int m = 0; m < num_microbatches; ++m) schedule.ranks[stage].push_back({kind, stage, m});
    }
  }
  return schedule;
}

Schedule one_f_one_b(int num_stages, int num_microbatches) {
  Schedule schedule = empty_schedule(num_stages, num_microbatches);
  for (int stage = 0; stage < num_stages; ++stage) {
    auto& actions = schedule.ranks[stage];
    const int warmup = std::min(num_stages - stage - 1, num_microbatches);
    for (int m = 0; m < warmup; ++m) actions.push_back({ActionKind::kForward, stage, m});
    for (int m = 0; m < num_microbatches; ++m) {
      const int forward = m + warmup;
      if (forward < num_microbatches) actions.push_back({ActionKind::kForward, stage, forward});
      actions.push_back({ActionKind::kBackward, stage, m});
    }
  }
  return schedule;
}

Timeline simulate(const Schedule& schedule, const CostFunction& cost) {
  const int num_ranks = static_cast<int>(schedule.ranks.size());
  Simulation simulation(schedule, cost);
  for (bool moved = true; moved;) {
    moved = false;
    for (int rank = 0; rank < num_ranks; ++rank) {
      while (simulation.advance(rank)) moved = true;
    }
  }
  for (int rank = 0; rank < num_ranks; ++rank) {
    CLOZE_CHECK(
        simulation.finished(rank),
        str("deadlock: rank ", rank, " waits for ever to do ", describe(simulation.next(rank))),
        "order the rank so that it first does what the others wait for");
  }
  simulation.check_complete();
  check_order(schedule);
  return std::move(simulation).timeline();
}

int peak_activations(const std::vector<PipelineAction>& actions) {
  // The weights' gradient needs the activations, so a split backward frees them at its end.
  std::set<std::pair<int, int>> held;  // (stage, microbatch).
  std::size_t peak = 0;
  for (const PipelineAction& action : actions) {
    const std::pair place(action.stage, action.microbatch);
    if (action.kind == ActionKind::kForward) held.insert(place);
    peak = std::max(peak, held.size());
    if (action.kind == ActionKind::kBackward || action.kind == ActionKind::kBackwardWeight) {
      held.erase(place);
    }
  }
  return static_cast<int>(peak);
}

std::string draw(const Timeline& timeline, int num_ranks, double tick) {
  // To the nearest tick: costs are sums of floats, or seconds that no tick divides.
  const auto column = [tick](double time) { return static_cast<int>(std::lround(time / tick)); };
  std::size_t width = 2;
  for (const TimedAction& timed : timeline.actions) {
    width = std::max(width, name(timed.action).size());
  }
  std::vector<std::vector<std::string>> cells(
      num_ranks, std::vector<std::string>(column(timeline.end), std::string(width, '.')));
  for (const auto& [action, rank, start, end] : timeline.actions) {
    std::string text = name(action);
    text.resize(width, ' ');
    for (int at = column(start); at < column(end); ++at) cells[rank][at] = text;
  }
  std::string text;
  for (int rank = 0; rank < num_ranks; ++rank) {
    text += str("rank ", rank, " |");
    for (const std::string& cell : cells[rank]) text.append(" ").append(cell);
    text += "\n";
  }
  return text;
}

}  // namespace cloze
