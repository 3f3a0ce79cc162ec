#include "trainer/model/microbatch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace cloze {

Microbatch::Microbatch(Batch rows, std::optional<at::Device> device) : batch_(std::move(rows)) {
  const std::int64_t tokens = batch_.num_tokens();
  ordinals_.resize(static_cast<std::size_t>(tokens));
  index_in_row_.resize(static_cast<std::size_t>(tokens));
  for (std::int64_t token = 0; token < tokens; ++token) {
    // Tokens after the last row are padding; they count as more tokens of that row.
    const std::int64_t row = std::min(token / batch_.seq_length, batch_.rows - 1);
    ordinals_[token] = batch_.ordinals[row];
    index_in_row_[token] = static_cast<std::int32_t>(token - row * batch_.seq_length);
    if (batch_.loss_mask[token] == 0) continue;
    targets_.tokens.push_back(token);
    targets_.ids.push_back(batch_.targets[token]);
  }
  if (device) {
    copy_arrays_to(*device);
    return;
  }
  arrays_ = {.tokens = batch_.tokens.data(),
             .position = batch_.position.data(),
             .block_position = batch_.block_position.data(),
             .rotary_position = batch_.rotary_position.data(),
             .lo = batch_.lo.data(),
             .hi = batch_.hi.data(),
             .index_in_row = index_in_row_.data(),
             .ordinals = ordinals_.data()};
}

// The ordinals first: they are the widest. Arrays that a batch does not have stay null.
void Microbatch::copy_arrays_to(at::Device device) {
  const std::array<std::pair<const std::vector<std::int32_t>*, const std::int32_t**>, 7> narrow = {
      {{&batch_.tokens, &arrays_.tokens},
       {&batch_.position, &arrays_.position},
       {&batch_.block_position, &arrays_.block_position},
       {&batch_.rotary_position, &arrays_.rotary_position},
       {&batch_.lo, &arrays_.lo},
       {&batch_.hi, &arrays_.hi},
       {&index_in_row_, &arrays_.index_in_row}}};
  const std::size_t wide_bytes = ordinals_.size() * sizeof(std::int64_t);
  std::size_t bytes = wide_bytes;
  for (const auto& [values, place] : narrow) bytes += values->size() * sizeof(std::int32_t);
  // Pinned, so that the copy needs no other one.
  const at::Tensor host =
      at::empty({static_cast<std::int64_t>(bytes)},
                at::TensorOptions().dtype(at::kByte).pinned_memory(!device.is_cpu()));
  auto* const to = static_cast<std::byte*>(host.mutable_data_ptr());
  std::memcpy(to, ordinals_.data(), wide_bytes);
  std::size_t offset = wide_bytes;
  for (const auto& [values, place] : narrow) {
    const std::size_t length = values->size() * sizeof(std::int32_t);
    if (length > 0) std::memcpy(to + offset, values->data(), length);
    offset += length;
  }
  copy_ = host.to(device, /*non_blocking=*/true, /*copy=*/true);
  const auto* const from = static_cast<const std::byte*>(copy_.const_data_ptr());
  arrays_.ordinals = reinterpret_cast<const std::int64_t*>(from);
  offset = wide_bytes;
  for (const auto& [values, place] : narrow) {
    if (!values->empty()) *place = reinterpret_cast<const std::int32_t*>(from + offset);
    offset += values->size() * sizeof(std::int32_t);
  }
}

}  // namespace cloze
