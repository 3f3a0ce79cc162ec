// What the layers ask of a batch, derived once a microbatch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/batch.h"
#include "parallel/kernels/attention.h"
#include "parallel/pass/device_writer.h"
#include "parallel/tensor/vocab_parallel_head.h"

namespace cloze {

// The arrays of a batch that kernels read, in the memory of the device that computes; one entry a
// token.
struct TokenArrays {
  const std::int32_t* tokens = nullptr;
  const std::int32_t* position = nullptr;
  const std::int32_t* block_position = nullptr;
  const std::int32_t* rotary_position = nullptr;
  const std::int32_t* lo = nullptr;
  const std::int32_t* hi = nullptr;
  const std::int32_t* index_in_row = nullptr;
  const std::int64_t* ordinals = nullptr;  // Of the token's row.
};

class Microbatch {
 public:
  // `batch` lives longer. Without `writer` kernels read it where it is; with one, a copy on the
  // writer's device, made in one transfer.
  explicit Microbatch(const Batch& batch, const DeviceWriter* writer = nullptr);
  explicit Microbatch(Batch&& batch) = delete;
  Microbatch(Microbatch&&) = default;
  Microbatch& operator=(Microbatch&&) = delete;

  // The most that a copy of the arrays of so many tokens takes: two of int64 and, with the samples'
  // places, nine of int32. Offsets of samples are few.
  static constexpr std::int64_t most_bytes(std::int64_t tokens) {
    return tokens *
           (2 * std::int64_t{sizeof(std::int64_t)} + 9 * std::int64_t{sizeof(std::int32_t)});
  }

  std::int64_t num_tokens() const { return batch_.num_tokens(); }
  std::int64_t seq_length() const { return batch_.seq_length; }
  const Batch& batch() const { return batch_; }  // On the host.
  const TokenArrays& arrays() const { return arrays_; }
  const Targets& targets() const { return targets_; }
  // The intervals as samples, of the device's memory; null where there is no device or they are not
  // such.
  const AttentionSamples* samples() const { return samples_ ? &*samples_ : nullptr; }

 private:
  void read_in_place();
  void copy_with(const DeviceWriter& writer);

  const Batch& batch_;
  std::vector<std::int64_t> ordinals_;      // [tokens]
  std::vector<std::int32_t> index_in_row_;  // [tokens]
  std::vector<std::int64_t> target_tokens_;
  std::vector<std::int32_t> target_ids_;
  at::Tensor copy_;  // Of the arrays, when there is one.
  Targets targets_;
  TokenArrays arrays_;
  std::optional<AttentionSamples> samples_;
};

}  // namespace cloze
