// Which rows of which parameters each data rank reduces, updates, counts and saves.
//
// A function of shapes and degrees alone, never of a buffer's layout, so that the gradient norm
// and the files do not depend on where a stage or a bucket is cut.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/pass/parameter.h"

namespace cloze {

// Rows of one parameter that one data rank owns (of dim 0 of this rank's box).
struct OwnedRows {
  const Parameter* parameter;
  Range rows;
  std::int64_t flat_offset;   // First element in the flat buffer.
  std::int64_t shard_offset;  // First element in the owner's shard of the flat buffer.
  std::int64_t elements;

  Box box() const { return parameter->spec.box.rows(rows.first, rows.count()); }
};

// Consecutive groups of a flat buffer that are reduced together.
struct Bucket {
  std::int64_t first_element;  // In the flat buffer.
  std::int64_t elements;       // Gaps between groups included.
  std::vector<ParameterGroup*> groups;
  std::vector<std::vector<OwnedRows>> pieces;  // By data rank.
  std::vector<std::int64_t> counts;            // Elements by data rank, gaps left out.
};

// A flat buffer cut into buckets of about `bucket_bytes` of gradients, each cut over
// `data_ranks`. Every parameter's rows are cut as evenly as they can be.
std::vector<Bucket> cut_buckets(const FlatBuffer& buffer, int data_ranks,
                                std::int64_t bucket_bytes);

}  // namespace cloze
