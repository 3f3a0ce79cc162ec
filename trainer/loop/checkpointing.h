// Saves and loads a run: the ranks together, through the checkpoint format's two phases.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/checkpoint_writer.h"
#include "trainer/checkpoint/weight_source.h"
#include "trainer/loop/numerics.h"
#include "trainer/loop/training_state.h"

namespace cloze {

// Where the run stands, beside its tensors.
struct Progress {
  std::int64_t step = 0;             // Steps done.
  std::int64_t consumed_rows = 0;    // The next ordinal.
  std::int64_t consumed_tokens = 0;  // Rows times seq_length.
  std::int64_t skipped_steps = 0;
  std::int64_t restarts = 0;
  std::string run_id;         // Made once, at the run's first start.
  std::string parent_digest;  // Of the checkpoint this run went on from, or empty.
  std::int64_t parent_step = 0;
};

// What else a checkpoint tells of its run.
struct RunFacts {
  std::string config_yaml;
  std::string dataset_fingerprint;
  std::string tokenizer_digest;
  Numerics numerics;
};

// Writes RUN/checkpoints/step-N. All ranks call it; all throw the same AgreedError on failure,
// and what was there before stays.
void save_checkpoint(TrainingState& state, const Progress& progress, const RunFacts& facts,
                     const std::filesystem::path& directory);

// Puts a checkpoint's tensors, counters and scaler into the state, whatever layout wrote it.
// All ranks call it; all throw the same AgreedError when any of its bytes is damaged.
Progress load_checkpoint(TrainingState& state, const std::filesystem::path& step_folder);

// The two phases of a save, each on all ranks together: every rank writes what `pieces` gives, then
// rank 0 commits with what `state` gives. All throw the same AgreedError on failure, and nothing
// of the save stays. `trace` may be null.
void save_together(Communicator& world, CheckpointSave& save,
                   const std::function<std::vector<Piece>()>& pieces,
                   const std::function<CheckpointState()>& state, Trace* trace);

// A word that no other save has; rank 0's clock decides.
std::string save_token(Communicator& world);

// The model that `path` means, the same for all ranks even while a run saves there: rank 0 looks.
std::filesystem::path agreed_model(Communicator& world, const std::filesystem::path& path);

// Weights alone, for a new run: run.initial.
void load_weights(TrainingState& state, const WeightSource& weights);

// Cuts of the parameters that this rank saves, and of the moments.
std::vector<Piece> pieces_to_save(TrainingState& state);

}  // namespace cloze
