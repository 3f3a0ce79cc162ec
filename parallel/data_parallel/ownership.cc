#include "parallel/data_parallel/ownership.h"

#include <ATen/ATen.h>

namespace cloze {
namespace {

// Adds the group's rows to the pieces of their owners. `shard_ends` has the next free element
// of each rank's shard.
void own_rows(Bucket& bucket, const ParameterGroup& group, std::int64_t flat_offset,
              std::vector<std::int64_t>& shard_ends) {
  const auto data_ranks = static_cast<std::int64_t>(shard_ends.size());
  for (const Parameter& member : group.members) {
    const std::int64_t num_rows = member.spec.box.shape[0];
    const std::int64_t row_elements = num_rows == 0 ? 0 : member.spec.box.elements() / num_rows;
    for (std::int64_t rank = 0; rank < data_ranks; ++rank) {
      const Range rows = part_of(num_rows, data_ranks, rank);
      if (rows.count() == 0) continue;
      const std::int64_t elements = rows.count() * row_elements;
      bucket.pieces[rank].push_back({.parameter = &member,
                                     .rows = rows,
                                     .flat_offset = flat_offset + rows.first * row_elements,
                                     .shard_offset = shard_ends[rank],
                                     .elements = elements});
      bucket.counts[rank] += elements;
      shard_ends[rank] += elements;
    }
    flat_offset += member.spec.box.elements();
  }
}

}  // namespace

std::vector<Bucket> cut_buckets(const FlatBuffer& buffer, int data_ranks,
                                std::int64_t bucket_bytes) {
  const std::int64_t limit =
      bucket_bytes / static_cast<std::int64_t>(buffer.main_grad.element_size());
  std::vector<Bucket> buckets;
  std::vector<std::int64_t> shard_ends(static_cast<std::size_t>(data_ranks), 0);
  for (std::size_t i = 0; i < buffer.groups.size(); ++i) {
    const std::int64_t end =
        i + 1 < buffer.groups.size() ? buffer.offsets[i + 1] : buffer.main_grad.numel();
    const std::int64_t elements = end - buffer.offsets[i];
    if (buckets.empty() || buckets.back().elements + elements > limit) {
      Bucket& bucket = buckets.emplace_back();
      bucket.first_element = buffer.offsets[i];
      bucket.elements = 0;
      bucket.pieces.resize(shard_ends.size());
      bucket.counts.assign(shard_ends.size(), 0);
    }
    buckets.back().elements += elements;
    buckets.back().groups.push_back(buffer.groups[i]);
    own_rows(buckets.back(), *buffer.groups[i], buffer.offsets[i], shard_ends);
  }
  return buckets;
}

}  // namespace cloze
