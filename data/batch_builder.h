// Rows of a sample source as microbatches.
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "data/row_builder.h"
#include "data/sample_source.h"

namespace cloze {

// Which rows of a step this rank trains on, and how they are cut.
struct MicrobatchOptions {
  std::int64_t micro_size = 1;  // Rows of a microbatch.
  std::int64_t data_rank = 0;
  std::int64_t data_degree = 1;
  // A microbatch's tokens are padded up to a multiple of this (tensor * context); the tokens
  // added belong to no row, see nothing and carry no loss.
  std::int64_t token_multiple = 1;
};

// Microbatches of a step for each replica; kUsage when its rows cannot be cut evenly.
std::int64_t num_microbatches(std::int64_t global_size, const MicrobatchOptions& options);

// The first ordinal of microbatch m of this replica, of a step that begins at first_ordinal:
// rows (m * data_degree + data_rank) * micro_size onward.
std::int64_t microbatch_ordinal(std::int64_t first_ordinal, std::int64_t microbatch,
                                const MicrobatchOptions& options);

// Reuses its buffers; one per thread. The source must outlive it.
class BatchBuilder {
 public:
  explicit BatchBuilder(const SampleSource& source, std::int64_t token_multiple = 1);

  // Rows first_ordinal onward.
  Batch build(std::int64_t first_ordinal, std::int64_t rows);
  void build(std::int64_t first_ordinal, std::int64_t rows, Batch& batch);

  // The samples of the batch built last.
  const std::vector<SampleBounds>& bounds() const { return bounds_; }
  const RowCounts& counts() const { return rows_.counts(); }

 private:
  const SampleSource& source_;
  std::int64_t token_multiple_;
  RowBuilder rows_;
  std::vector<std::int32_t> window_;
  std::vector<SampleBounds> bounds_;
};

}  // namespace cloze
