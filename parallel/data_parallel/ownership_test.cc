#include "parallel/data_parallel/ownership.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

namespace cloze {
namespace {

ParameterSpec spec_of(const std::string& name, const Shape& shape, std::uint32_t site) {
  ParameterSpec spec;
  spec.name = name;
  spec.box = Box::whole(shape);
  spec.site = site;
  return spec;
}

// Three matrices; the last has fewer rows than some degrees.
void fill(ParameterTable& table) {
  table.add({spec_of("a", {10, 7}, 0)});
  table.add({spec_of("b", {5, 3}, 1), spec_of("c", {4, 3}, 2)});
  table.add({spec_of("d", {1, 9}, 3)});
  table.allocate(at::kFloat);
}

TEST(OwnershipTest, EveryRowHasOneOwner) {
  ParameterTable table;
  fill(table);
  for (const int data : {1, 2, 3, 8}) {
    std::map<std::string, std::int64_t> rows;
    for (const Bucket& bucket : cut_buckets(table.buffers()[0], data, 1 << 20)) {
      for (const auto& pieces : bucket.pieces) {
        for (const OwnedRows& piece : pieces) {
          rows[piece.parameter->spec.name] += piece.rows.count();
        }
      }
    }
    EXPECT_EQ(rows, (std::map<std::string, std::int64_t>{{"a", 10}, {"b", 5}, {"c", 4}, {"d", 1}}));
  }
}

TEST(OwnershipTest, OwnersDoNotDependOnTheBucketSize) {
  ParameterTable table;
  fill(table);
  const auto owners = [&](std::int64_t bucket_bytes) {
    std::map<std::string, std::vector<Range>> result;
    for (const Bucket& bucket : cut_buckets(table.buffers()[0], 3, bucket_bytes)) {
      for (const auto& pieces : bucket.pieces) {
        for (const OwnedRows& piece : pieces) {
          result[piece.parameter->spec.name].push_back(piece.rows);
        }
      }
    }
    return result;
  };
  EXPECT_EQ(owners(1), owners(1 << 20));
}

TEST(OwnershipTest, BucketsTileTheFlatBuffer) {
  ParameterTable table;
  fill(table);
  const FlatBuffer& buffer = table.buffers()[0];
  std::int64_t end = 0;
  const std::vector<Bucket> buckets = cut_buckets(buffer, 2, 1);
  EXPECT_EQ(buckets.size(), 3U);  // A group is never cut.
  for (const Bucket& bucket : buckets) {
    EXPECT_EQ(bucket.first_element, end);
    end += bucket.elements;
  }
  EXPECT_EQ(end, buffer.main_grad.numel());
}

}  // namespace
}  // namespace cloze
