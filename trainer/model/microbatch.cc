#include "trainer/model/microbatch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "trainer/model/sample_layout.h"

namespace cloze {
namespace {

// The largest distance between neighbours.
std::int64_t longest_of(const std::vector<std::int32_t>& offsets) {
  std::int64_t longest = 0;
  for (std::size_t i = 1; i < offsets.size(); ++i) {
    longest = std::max<std::int64_t>(longest, offsets[i] - offsets[i - 1]);
  }
  return longest;
}

// The numbers of a layout, without its arrays.
AttentionSamples counted(const SampleLayout& layout) {
  const auto count = [](const std::vector<std::int32_t>& offsets) {
    return static_cast<std::int64_t>(offsets.size()) - 1;
  };
  return {.count = count(layout.offsets),
          .longest = longest_of(layout.offsets),
          .prefixes = count(layout.prefix_offsets),
          .prefix_tokens = static_cast<std::int64_t>(layout.prefix_places.size()),
          .longest_prefix = longest_of(layout.prefix_offsets),
          .longest_suffix = longest_of(layout.suffix_offsets)};
}

}  // namespace

Microbatch::Microbatch(const Batch& batch, const DeviceWriter* writer) : batch_(batch) {
  const std::int64_t tokens = batch_.num_tokens();
  ordinals_.resize(static_cast<std::size_t>(tokens));
  index_in_row_.resize(static_cast<std::size_t>(tokens));
  for (std::int64_t token = 0; token < tokens; ++token) {
    // Tokens after the last row are padding; they count as more tokens of that row.
    const std::int64_t row = std::min(token / batch_.seq_length, batch_.rows - 1);
    ordinals_[token] = batch_.ordinals[row];
    index_in_row_[token] = static_cast<std::int32_t>(token - row * batch_.seq_length);
    if (batch_.loss_mask[token] == 0) continue;
    target_tokens_.push_back(token);
    target_ids_.push_back(batch_.targets[token]);
  }
  targets_.count = static_cast<std::int64_t>(target_ids_.size());
  if (writer != nullptr) {
    copy_with(*writer);
  } else {
    read_in_place();
  }
}

void Microbatch::read_in_place() {
  arrays_ = {.tokens = batch_.tokens.data(),
             .position = batch_.position.data(),
             .block_position = batch_.block_position.data(),
             .rotary_position = batch_.rotary_position.data(),
             .lo = batch_.lo.data(),
             .hi = batch_.hi.data(),
             .index_in_row = index_in_row_.data(),
             .ordinals = ordinals_.data()};
  targets_.tokens = at::from_blob(target_tokens_.data(), {targets_.count}, at::kLong);
  targets_.ids = target_ids_.data();
}

// The widest numbers first, so that all are aligned. Arrays that a batch does not have stay null.
void Microbatch::copy_with(const DeviceWriter& writer) {
  const std::optional<SampleLayout> found = sample_layout(batch_);
  const SampleLayout samples = found.value_or(SampleLayout());
  AttentionSamples attention = counted(samples);
  const std::array<std::pair<const std::vector<std::int32_t>*, const std::int32_t**>, 13> narrow = {
      {{&batch_.tokens, &arrays_.tokens},
       {&batch_.position, &arrays_.position},
       {&batch_.block_position, &arrays_.block_position},
       {&batch_.rotary_position, &arrays_.rotary_position},
       {&batch_.lo, &arrays_.lo},
       {&batch_.hi, &arrays_.hi},
       {&index_in_row_, &arrays_.index_in_row},
       {&target_ids_, &targets_.ids},
       {&samples.offsets, &attention.offsets},
       {&samples.prefix_offsets, &attention.prefix_offsets},
       {&samples.prefix_places, &attention.prefix_places},
       {&samples.suffix_offsets, &attention.suffix_offsets},
       {&samples.suffix_places, &attention.suffix_places}}};
  const auto bytes_of = [](const auto& values) { return values.size() * sizeof(values.front()); };
  const std::size_t target_bytes = bytes_of(target_tokens_);
  const std::size_t wide_bytes = bytes_of(ordinals_) + target_bytes;
  std::size_t bytes = wide_bytes;
  for (const auto& [values, place] : narrow) bytes += bytes_of(*values);
  const at::Tensor host = DeviceWriter::staging(static_cast<std::int64_t>(bytes));
  auto* to = static_cast<std::byte*>(host.mutable_data_ptr());
  const auto append = [&](const auto& values) {
    if (!values.empty()) std::memcpy(to, values.data(), bytes_of(values));
    to += bytes_of(values);
  };
  append(target_tokens_);
  append(ordinals_);
  for (const auto& [values, place] : narrow) append(*values);
  copy_ = writer.bring(host);
  targets_.tokens = copy_.narrow(0, 0, static_cast<std::int64_t>(target_bytes)).view(at::kLong);
  const auto* const from = static_cast<const std::byte*>(copy_.const_data_ptr());
  arrays_.ordinals = reinterpret_cast<const std::int64_t*>(from + target_bytes);
  std::size_t offset = wide_bytes;
  for (const auto& [values, place] : narrow) {
    if (!values->empty()) *place = reinterpret_cast<const std::int32_t*>(from + offset);
    offset += bytes_of(*values);
  }
  if (found) samples_ = attention;
}

}  // namespace cloze
