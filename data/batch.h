// A microbatch of packed rows: the contract between data/ and trainer/.
#pragma once

#include <cstdint>
#include <vector>

namespace cloze {

// What a sample trains. The numbers are written to files: append only.
enum class Objective : std::uint8_t {
  kMask = 0,      // [MASK]: short spans.
  kSentence = 1,  // [sMASK]: whole sentences.
  kDocument = 2,  // [gMASK]: the rest of a document.
  kCausal = 3,    // Next token.
};
inline constexpr int kNumObjectives = 4;

// One row, or several rows one after another (then rows * seq_length tokens). Vectors have one
// entry a token. A token sees the keys [lo, hi) of this batch, itself among them.
struct Batch {
  std::int64_t rows = 0;
  std::int64_t seq_length = 0;         // Tokens of a row.
  std::vector<std::int64_t> ordinals;  // [rows], the place of each row in the run's stream.
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;          // What the token predicts; 0 where loss_mask is 0.
  std::vector<std::uint8_t> loss_mask;        // 1 where the loss counts.
  std::vector<std::int32_t> position;         // Row 0 of GLM's 2-D positions.
  std::vector<std::int32_t> block_position;   // Row 1.
  std::vector<std::int32_t> rotary_position;  // What a block without row 1 rotates by.
  std::vector<std::int32_t> lo;
  std::vector<std::int32_t> hi;
  std::vector<std::uint8_t> objective;  // Objective of the token's sample.

  std::int64_t num_tokens() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t num_targets() const {
    std::int64_t count = 0;
    for (const std::uint8_t counts : loss_mask) count += counts;
    return count;
  }
};

}  // namespace cloze
