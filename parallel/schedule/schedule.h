// A pipeline schedule as data: for each pipeline rank, what it does, in order.
//
// A generator builds the value, simulate() proves and times it, draw() prints it, and the
// executor runs it. A new schedule is a new generator; the other three stay as they are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cloze {

enum class ActionKind : std::uint8_t {
  kForward,
  kBackward,        // Gradients of the stage's input and of its weights.
  kBackwardInput,   // The input's alone: what the stage before waits for.
  kBackwardWeight,  // The weights' alone, at any time after kBackwardInput.
};

// One step of one pipeline rank.
struct PipelineAction {
  ActionKind kind;
  int stage;       // 0 holds the embedding, num_stages - 1 the loss.
  int microbatch;  // 0 .. num_microbatches - 1.
  auto operator<=>(const PipelineAction&) const = default;
};

struct Schedule {
  int num_stages;
  int num_microbatches;
  std::vector<std::vector<PipelineAction>> ranks;  // ranks[r]: the actions of pipeline rank r.
};

// All forwards, then all backwards (Huang et al., 2019). Holds num_microbatches activations.
Schedule gpipe(int num_stages, int num_microbatches);

// One forward, one backward (Narayanan et al., 2021). Rank r holds at most num_stages - r
// activations.
Schedule one_f_one_b(int num_stages, int num_microbatches);

struct TimedAction {
  PipelineAction action;
  int rank;
  double start;  // In the unit of the cost function: seconds, or ticks in a drawing.
  double end;
};

struct Timeline {
  std::vector<TimedAction> actions;
  double end = 0;              // When the last rank finishes.
  double bubble_fraction = 0;  // Idle rank-time / total rank-time.
};

using CostFunction = std::function<double(const PipelineAction&)>;

// Runs the schedule against a clock. Throws if it deadlocks, if an action is missing, doubled
// or of an unknown stage, or if two stages would not agree on the order of what passes between
// them; so a schedule that simulates is a schedule that runs.
Timeline simulate(const Schedule& schedule, const CostFunction& cost);

// The most microbatches whose activations a rank holds at once.
int peak_activations(const std::vector<PipelineAction>& actions);

// One row per rank, one column per `tick` of the cost function's unit: "F0 F1 .. B0 B0".
// F forward, B backward, I backward of the input, W backward of the weights, .. idle.
std::string draw(const Timeline& timeline, int num_ranks, double tick = 1.0);

}  // namespace cloze
