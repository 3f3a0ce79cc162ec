// A sample: one piece of a document, corrupted by itself (or left as it is, causal).
#pragma once

#include <cstdint>
#include <vector>

#include "data/batch.h"

namespace cloze {

// Where a sample lies in a batch.
struct SampleBounds {
  std::int64_t ordinal = 0;    // Of its row.
  std::int64_t piece = 0;      // Its number in the row.
  std::int64_t first = 0;      // Token of the batch.
  std::int64_t length = 0;     // Tokens, part A and part B.
  std::int64_t separator = 0;  // Length of part A; 0 for causal.
  Objective objective = Objective::kMask;

  bool operator==(const SampleBounds&) const = default;
};

// A sample on its own. Vectors have one entry a token.
struct Sample {
  Objective objective = Objective::kMask;
  std::int64_t separator = 0;  // Length of part A; 0 for causal.
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
  std::vector<std::uint8_t> loss_mask;
  std::vector<std::int32_t> position;         // Row 0.
  std::vector<std::int32_t> block_position;   // Row 1.
  std::vector<std::int32_t> rotary_position;  // What a block without row 1 rotates by.

  bool operator==(const Sample&) const = default;
};

// Names the random numbers of a piece.
struct SampleKey {
  std::uint64_t seed = 0;
  std::uint64_t ordinal = 0;  // Of its row.
  std::uint32_t piece = 0;    // Its number in the row, < 2^30.
  std::uint32_t attempt = 0;  // Draws of this row that did not fit; < 256.
};

// A batch of one row and `length` tokens, all of them padding.
Batch empty_row(std::int64_t length);

// Copies a sample out of a batch.
Sample copy_sample(const Batch& batch, const SampleBounds& bounds);

}  // namespace cloze
