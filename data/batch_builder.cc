// Reads windows and builds their rows into one batch.
#include "data/batch_builder.h"

#include "parallel/base/check.h"

namespace cloze {

std::int64_t num_microbatches(std::int64_t global_size, const MicrobatchOptions& options) {
  const std::int64_t slice = options.micro_size * options.data_degree;
  CLOZE_REQUIRE(slice > 0 && global_size > 0 && global_size % slice == 0, ExitCode::kUsage,
                str("a batch of ", global_size, " rows cannot be cut into microbatches of ",
                    options.micro_size, " rows for ", options.data_degree, " replicas"),
                "make batch.global_size (and each batch of the ramp) a multiple of "
                "batch.micro_size times the data degree");
  return global_size / slice;
}

std::int64_t microbatch_ordinal(std::int64_t first_ordinal, std::int64_t microbatch,
                                const MicrobatchOptions& options) {
  return first_ordinal +
         (((microbatch * options.data_degree) + options.data_rank) * options.micro_size);
}

BatchBuilder::BatchBuilder(const SampleSource& source, std::int64_t token_multiple)
    : source_(source), token_multiple_(token_multiple), rows_(source.options()) {
  CLOZE_CHECK(token_multiple >= 1, str("tokens padded to a multiple of ", token_multiple),
              "give tensor * context");
}

Batch BatchBuilder::build(std::int64_t first_ordinal, std::int64_t rows) {
  Batch batch;
  build(first_ordinal, rows, batch);
  return batch;
}

void BatchBuilder::build(std::int64_t first_ordinal, std::int64_t rows, Batch& batch) {
  CLOZE_CHECK(rows >= 1 && first_ordinal >= 0, str(rows, " rows from ", first_ordinal, " on"),
              "ask for at least one row");
  const std::int64_t seq_length = source_.seq_length();
  const std::int64_t in_rows = rows * seq_length;
  const std::int64_t padded = (in_rows + token_multiple_ - 1) / token_multiple_ * token_multiple_;
  CLOZE_CHECK(padded < (std::int64_t{1} << 31), str("a batch of ", padded, " tokens"),
              "lower batch.micro_size or data.seq_length");
  const auto tokens = static_cast<std::size_t>(padded);
  batch.rows = rows;
  batch.seq_length = seq_length;
  batch.ordinals.resize(static_cast<std::size_t>(rows));
  for (auto* row : {&batch.tokens, &batch.targets, &batch.position, &batch.block_position,
                    &batch.rotary_position, &batch.lo, &batch.hi}) {
    row->resize(tokens);
  }
  batch.loss_mask.resize(tokens);
  batch.objective.resize(tokens);

  bounds_.clear();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t ordinal = first_ordinal + row;
    batch.ordinals[static_cast<std::size_t>(row)] = ordinal;
    source_.read_window(ordinal, window_);
    rows_.build(window_, ordinal, batch, row);
    bounds_.insert(bounds_.end(), rows_.bounds().begin(), rows_.bounds().end());
  }
  const std::uint8_t objective = batch.objective[static_cast<std::size_t>(in_rows) - 1];
  write_padding(batch, in_rows, padded, source_.options().special.eos,
                static_cast<Objective>(objective));
}

}  // namespace cloze
