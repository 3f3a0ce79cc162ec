#include "trainer/loop/checkpointing.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <span>

#include "parallel/pass/device_reader.h"
#include "parallel/pass/dtype_dispatch.h"
#include "parallel/trace/trace.h"
#include "trainer/export/open_model.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/staged_rows.h"

namespace cloze {
namespace {

// The key under which the number of updates of all parameters is kept.
constexpr const char* kAllParameters = "*";

// The optimizer's three tensors of a shard, with the prefixes of their names.
struct NamedTensor {
  std::string_view prefix;
  at::Tensor tensor;
};

std::vector<NamedTensor> tensors_of(const AdamWState& state) {
  return {{"", state.master}, {kFirstMoment, state.exp_avg}, {kSecondMoment, state.exp_avg_sq}};
}

at::Tensor elements_of(const at::Tensor& flat, const OwnedRows& rows) {
  return flat.narrow(0, rows.shard_offset, rows.elements);
}

// Rows to save: their memory, or on another device a copy of each chunk as it is written, which
// `reader` brings.
Piece piece_of(const NamedTensor& named, const OwnedRows& rows,
               const std::shared_ptr<DeviceReader>& reader) {
  const at::Tensor elements = elements_of(named.tensor, rows);
  Piece piece{.name = std::string(named.prefix) + rows.parameter->spec.name,
              .dtype = dtype_of(named.tensor.scalar_type()),
              .box = rows.box()};
  if (elements.is_cpu()) {
    piece.data = elements.const_data_ptr();
  } else {
    piece.fill = [reader, bytes = elements.view(at::kByte)](std::int64_t first,
                                                            std::span<std::byte> out) {
      reader->read(bytes, first, out);
    };
  }
  return piece;
}

void read_piece(const WeightSource& source, const NamedTensor& named, const OwnedRows& rows,
                const DeviceWriter* writer) {
  const at::Tensor elements = elements_of(named.tensor, rows);
  const std::string name = std::string(named.prefix) + rows.parameter->spec.name;
  if (writer == nullptr) {
    source.read(name, rows.box(), dtype_of(elements.scalar_type()), elements.mutable_data_ptr());
  } else {
    read_staged(source, name, rows.box(), elements, *writer);
  }
}

checkpoint::State state_message(TrainingState& state, const Progress& progress,
                                const RunFacts& facts) {
  checkpoint::State message;
  message.set_step(progress.step);
  message.set_consumed_rows(progress.consumed_rows);
  message.set_consumed_tokens(progress.consumed_tokens);
  message.set_run_id(progress.run_id);
  message.mutable_lineage()->set_parent_digest(progress.parent_digest);
  message.mutable_lineage()->set_parent_step(progress.parent_step);
  message.mutable_lineage()->set_restarts(progress.restarts);
  message.set_config(state.run().SerializeAsString());
  message.set_config_yaml(facts.config_yaml);
  message.set_dataset_fingerprint(facts.dataset_fingerprint);
  message.set_tokenizer_digest(facts.tokenizer_digest);
  message.set_seed(state.run().run().seed());
  (*message.mutable_algorithm_versions())["random"] = 1;
  message.mutable_numerics()->insert(facts.numerics.begin(), facts.numerics.end());
  const LossScaler::State& scaler = state.scaler().state();
  message.mutable_loss_scaler()->set_scale(scaler.scale);
  message.mutable_loss_scaler()->set_good_steps(scaler.clean_steps);
  message.mutable_loss_scaler()->set_hysteresis_left(
      state.run().precision().loss_scale_hysteresis() - scaler.overflows);
  message.mutable_guard()->set_skipped_steps(progress.skipped_steps);
  message.mutable_guard()->set_skipped_steps_in_row(scaler.consecutive_skips);
  (*message.mutable_optimizer_steps())[kAllParameters] = state.optimizer().num_updates();
  return message;
}

// Reads this rank's rows. The other data ranks read theirs, so each byte is read once for all
// replicas; spread_rows() then fills in the rest.
void read_rows(TrainingState& state, const WeightSource& source, bool moments) {
  for (std::size_t i = 0; i < state.reducer().shards().size(); ++i) {
    const UpdateShard& shard = state.reducer().shards()[i];
    for (const NamedTensor& named : tensors_of(state.optimizer().states()[i])) {
      if (!moments && !named.prefix.empty()) continue;
      for (const OwnedRows& rows : shard.owned) {
        read_piece(source, named, rows, state.writer());
      }
    }
  }
}

void spread_rows(TrainingState& state, bool moments) {
  for (std::size_t i = 0; i < state.reducer().shards().size(); ++i) {
    const UpdateShard& shard = state.reducer().shards()[i];
    if (!shard.whole) continue;
    for (NamedTensor& named : tensors_of(state.optimizer().states()[i])) {
      if (!moments && !named.prefix.empty()) continue;
      state.reducer().gather_rows(i, named.tensor);
    }
  }
  state.optimizer().write_values();
  state.publish_values();
}

}  // namespace

std::vector<Piece> pieces_to_save(TrainingState& state) {
  std::vector<Piece> pieces;
  std::shared_ptr<DeviceReader> reader;
  if (!state.device().is_cpu()) {
    reader = std::make_shared<DeviceReader>(state.device(), kDigestChunk);
  }
  for (std::size_t i = 0; i < state.reducer().shards().size(); ++i) {
    const UpdateShard& shard = state.reducer().shards()[i];
    for (const NamedTensor& named : tensors_of(state.optimizer().states()[i])) {
      for (const OwnedRows& rows : shard.owned) {
        if (!rows.parameter->spec.first_replica) continue;
        pieces.push_back(piece_of(named, rows, reader));
      }
    }
  }
  return pieces;
}

void save_together(Communicator& world, CheckpointSave& save,
                   const std::function<std::vector<Piece>()>& pieces,
                   const std::function<CheckpointState()>& state, Trace* trace) {
  std::string record;
  try {
    {
      const TraceSpan span(trace, "create folder");
      together(world, [&] {
        if (world.rank() == 0) save.create_folder();
      });
    }
    {
      const TraceSpan span(trace, "write rank file");
      together(world, [&] { record = save.write_rank_file(world.rank(), pieces()); });
    }
    const TraceSpan span(trace, "commit");
    const std::vector<std::string> records = gather_texts(world, record);
    together(world, [&] {
      if (world.rank() == 0) save.commit(records, state());
    });
  } catch (const Error&) {
    if (world.rank() == 0) save.abandon();
    throw;
  }
}

void save_checkpoint(TrainingState& state, const Progress& progress, const RunFacts& facts,
                     const std::filesystem::path& directory) {
  Communicator& world = *state.groups().world;
  CheckpointSave save(directory, progress.step, progress.run_id, save_token(world));
  save_together(
      world, save, [&] { return pieces_to_save(state); },
      [&] { return state_message(state, progress, facts); }, state.trace());
}

Progress load_checkpoint(TrainingState& state, const std::filesystem::path& step_folder) {
  Communicator& world = *state.groups().world;
  Progress progress;
  together(world, [&] {
    const Checkpoint checkpoint = Checkpoint::open(step_folder);
    read_rows(state, checkpoint, /*moments=*/true);
    const checkpoint::State& message = checkpoint.state();
    progress.step = message.step();
    progress.consumed_rows = message.consumed_rows();
    progress.consumed_tokens = message.consumed_tokens();
    progress.skipped_steps = message.guard().skipped_steps();
    progress.restarts = message.lineage().restarts() + 1;
    progress.run_id = message.run_id();
    progress.parent_digest = std::string(checkpoint.digest().view());
    progress.parent_step = message.step();
    const auto updates = message.optimizer_steps().find(kAllParameters);
    CLOZE_REQUIRE(updates != message.optimizer_steps().end(), ExitCode::kBadInput,
                  str(step_folder.string(), " does not say how many updates were made"),
                  "use a checkpoint of this version, or start from its weights with run.initial");
    state.optimizer().set_num_updates(updates->second);
    LossScaler::State scaler = state.scaler().state();
    scaler.consecutive_skips = message.guard().skipped_steps_in_row();
    if (state.run().precision().compute() == config::Precision::fp16) {
      scaler.scale = message.loss_scaler().scale();
      scaler.clean_steps = message.loss_scaler().good_steps();
      scaler.overflows =
          state.run().precision().loss_scale_hysteresis() - message.loss_scaler().hysteresis_left();
    }
    state.scaler().set_state(scaler);
  });
  spread_rows(state, /*moments=*/true);
  return progress;
}

std::string save_token(Communicator& world) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return broadcast_text(world, str(std::chrono::nanoseconds(now).count()), 0);
}

std::filesystem::path agreed_model(Communicator& world, const std::filesystem::path& path) {
  std::string resolved;
  together(world, [&] {
    if (world.rank() == 0) resolved = resolve_model(path).string();
  });
  return broadcast_text(world, resolved, 0);
}

void load_weights(TrainingState& state, const WeightSource& weights) {
  together(*state.groups().world, [&] { read_rows(state, weights, /*moments=*/false); });
  spread_rows(state, /*moments=*/false);
}

}  // namespace cloze
