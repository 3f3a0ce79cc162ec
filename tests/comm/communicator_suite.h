// What every communicator promises, whatever carries its bytes. Each claim is run by all ranks of
// a group at once; none stops between two collectives, so one failed rank cannot hang the rest.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/random.h"
#include "parallel/comm/communicator.h"

namespace cloze::suite {

// Makes a communicator of all ranks.
using Make = std::function<std::unique_ptr<Communicator>(const std::string& name)>;

struct Claim {
  const char* name;
  void (*check)(const Make& make);
};
inline void PrintTo(const Claim& claim, std::ostream* stream) { *stream << claim.name; }

inline constexpr std::array kReducible = {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf,
                                          at::kLong,   at::kInt,   at::kByte};
// Empty, one, odd, around a cache line, and large enough for more than one round.
inline constexpr std::array<std::int64_t, 8> kSizes = {0, 1, 3, 63, 65, 1025, 4099, 20011};

// Uniform in [-1, 1) for floats, of more bits than a sum keeps; -7 .. 7 for integers, 0 .. 14 for
// bytes; different on every rank.
inline at::Tensor values(int rank, at::IntArrayRef shape, at::ScalarType dtype) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  auto* data = tensor.mutable_data_ptr<double>();
  const RandomKey key{.seed = 17, .domain = RandomDomain::kTest, .ordinal = std::uint64_t(rank)};
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    data[i] = c10::isIntegralType(dtype, /*includeBool=*/true)
                  ? static_cast<double>(random_below(key, i, 15)) - (dtype == at::kByte ? 0 : 7)
                  : 2 * random_uniform(key, i) - 1;
  }
  return tensor.to(dtype);
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         (a.numel() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

// The oracle: ATen adds the tensors of all ranks one after the other, 16-bit types in fp32.
inline at::Tensor reduction(int size, at::IntArrayRef shape, at::ScalarType dtype, ReduceOp op) {
  const bool narrow = dtype == at::kBFloat16 || dtype == at::kHalf;
  const auto wide = narrow ? at::kFloat : dtype;
  at::Tensor sum = values(0, shape, dtype).to(wide);
  for (int rank = 1; rank < size; ++rank) {
    const at::Tensor next = values(rank, shape, dtype).to(wide);
    sum = op == ReduceOp::kSum ? sum + next : at::maximum(sum, next);
  }
  return sum.to(dtype);
}

// Calls visit(dtype, op) for everything that can be reduced.
template <typename Visit>
void for_each_reduction(const Visit& visit) {
  for (const at::ScalarType dtype : kReducible) {
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax}) visit(dtype, op);
  }
}

inline void all_reduce_is_the_reduction_in_rank_order(const Make& make) {
  const auto group = make("group");
  for_each_reduction([&](at::ScalarType dtype, ReduceOp op) {
    for (const std::int64_t size : kSizes) {
      at::Tensor tensor = values(group->rank(), {size}, dtype);
      group->all_reduce(tensor, op).wait();
      EXPECT_TRUE(same_bits(tensor, reduction(group->size(), {size}, dtype, op)))
          << dtype << " [" << size << "] on rank " << group->rank();
    }
  });
}

inline void reduce_scatter_gives_each_rank_its_rows(const Make& make) {
  const auto group = make("group");
  const int rank = group->rank();
  for_each_reduction([&](at::ScalarType dtype, ReduceOp op) {
    for (const std::int64_t rows : {0, 1, 5, 1501}) {
      const std::vector<std::int64_t> shape = {rows * group->size(), 3};
      const at::Tensor expected =
          reduction(group->size(), shape, dtype, op).narrow(0, rows * rank, rows);
      at::Tensor input = values(rank, shape, dtype);
      at::Tensor output = at::empty({rows, 3}, input.options());
      group->reduce_scatter(output, input, op).wait();
      EXPECT_TRUE(same_bits(output, expected)) << dtype << " " << rows << " rows, rank " << rank;
      EXPECT_TRUE(same_bits(input, values(rank, shape, dtype))) << "the input has changed";

      at::Tensor own = input.narrow(0, rows * rank, rows);
      group->reduce_scatter(own, input, op).wait();
      EXPECT_TRUE(same_bits(own, expected)) << dtype << " in place, rank " << rank;
    }
  });
}

inline void all_gather_keeps_rank_order(const Make& make) {
  const auto group = make("group");
  for (const at::ScalarType dtype :
       {at::kDouble, at::kFloat, at::kBFloat16, at::kLong, at::kByte, at::kBool}) {
    for (const std::int64_t rows : {0, 1, 7, 3001}) {
      std::vector<at::Tensor> parts;
      for (int rank = 0; rank < group->size(); ++rank) {
        parts.push_back(values(rank, {rows, 5}, dtype));
      }
      const at::Tensor expected = at::cat(parts);
      const at::Tensor& mine = parts[group->rank()];
      at::Tensor output = at::empty_like(expected);
      group->all_gather(output, mine).wait();
      EXPECT_TRUE(same_bits(output, expected)) << dtype << ", " << rows << " rows";

      at::Tensor whole = at::zeros_like(expected);
      at::Tensor place = whole.narrow(0, rows * group->rank(), rows);
      place.copy_(mine);
      group->all_gather(whole, place).wait();
      EXPECT_TRUE(same_bits(whole, expected)) << dtype << " in place";
    }
  }
}

inline void all_to_all_moves_uneven_rows(const Make& make) {
  const auto group = make("group");
  const int size = group->size();
  // Rows from one rank to another: none, few and many.
  const auto rows_of = [](int from, int to) {
    return std::int64_t{(from * 5 + to * 3) % 4} * (from == to ? 2 : 700);
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kInt}) {
    std::vector<std::int64_t> input_rows;
    std::vector<std::int64_t> output_rows;
    std::vector<at::Tensor> blocks;
    for (int peer = 0; peer < size; ++peer) {
      input_rows.push_back(rows_of(group->rank(), peer));
      output_rows.push_back(rows_of(peer, group->rank()));
      // The block that rank `from` sends rank `to` is values(from * size + to).
      blocks.push_back(values(peer * size + group->rank(), {output_rows.back(), 3}, dtype));
    }
    std::vector<at::Tensor> sent;
    for (int peer = 0; peer < size; ++peer) {
      sent.push_back(values(group->rank() * size + peer, {input_rows[peer], 3}, dtype));
    }
    const at::Tensor expected = at::cat(blocks);
    at::Tensor output = at::empty_like(expected);
    group->all_to_all(output, at::cat(sent), output_rows, input_rows).wait();
    EXPECT_TRUE(same_bits(output, expected)) << dtype << " on rank " << group->rank();
  }
}

inline void broadcast_gives_all_the_tensor_of_the_root(const Make& make) {
  const auto group = make("group");
  for (int root = 0; root < group->size(); ++root) {
    for (const std::int64_t size : kSizes) {
      at::Tensor tensor = values(group->rank(), {size}, at::kBFloat16);
      group->broadcast(tensor, root).wait();
      EXPECT_TRUE(same_bits(tensor, values(root, {size}, at::kBFloat16))) << "root " << root;
    }
  }
}

inline void an_exchange_ring_cannot_deadlock(const Make& make) {
  const auto group = make("group");
  const int size = group->size();
  const int next = (group->rank() + 1) % size;
  const int previous = (group->rank() + size - 1) % size;
  // Far more than any transport takes without a receiver; both ways round at once.
  for (const std::int64_t length : {0L, 1L, 100000L}) {
    at::Tensor from_previous = at::empty({length}, at::kFloat);
    at::Tensor from_next = at::empty({length}, at::kFloat);
    const at::Tensor mine = values(group->rank(), {length}, at::kFloat);
    const std::vector<Transfer> sends = {{mine, next}, {mine, previous}};
    const std::vector<Transfer> receives = {{from_previous, previous}, {from_next, next}};
    group->exchange(sends, receives).wait();
    EXPECT_TRUE(same_bits(from_previous, values(previous, {length}, at::kFloat)));
    EXPECT_TRUE(same_bits(from_next, values(next, {length}, at::kFloat)));
  }
}

inline void a_chain_of_messages_keeps_its_order(const Make& make) {
  const auto group = make("group");
  const int rank = group->rank();
  std::vector<at::Tensor> received;
  std::vector<Work> works;
  for (const std::int64_t length : {7, 90000, 0, 1}) {
    if (rank > 0) {
      received.push_back(at::empty({length}, at::kInt));
      works.push_back(group->exchange({}, std::vector<Transfer>{{received.back(), rank - 1}}));
    }
    if (rank + 1 < group->size()) {
      works.push_back(
          group->exchange(std::vector<Transfer>{{values(rank, {length}, at::kInt), rank + 1}}, {}));
    }
  }
  for (Work& work : works) work.wait();
  for (const at::Tensor& tensor : received) {
    EXPECT_TRUE(same_bits(tensor, values(rank - 1, tensor.sizes(), at::kInt)));
  }
}

inline void calls_in_flight_may_be_waited_for_in_any_order(const Make& make) {
  const auto one = make("one");
  const auto two = make("two");
  const int size = one->size();
  const std::int64_t length = 6000;  // More than goes in one round.
  for (int round = 0; round < 3; ++round) {
    at::Tensor summed = values(one->rank(), {length}, at::kFloat);
    at::Tensor greatest = values(one->rank(), {length}, at::kFloat);
    at::Tensor scattered = at::empty({length}, at::kFloat);
    std::vector<Work> works;
    works.push_back(one->all_reduce(summed, ReduceOp::kSum));
    works.push_back(two->all_reduce(greatest, ReduceOp::kMax));
    works.push_back(one->reduce_scatter(scattered, values(one->rank(), {length * size}, at::kFloat),
                                        ReduceOp::kSum));
    // Each rank begins elsewhere, so each call is at some time the only one somebody waits for.
    for (std::size_t i = 0; i < works.size(); ++i) {
      works[(i + one->rank()) % works.size()].wait();
    }
    EXPECT_TRUE(same_bits(summed, reduction(size, {length}, at::kFloat, ReduceOp::kSum)));
    EXPECT_TRUE(same_bits(greatest, reduction(size, {length}, at::kFloat, ReduceOp::kMax)));
    EXPECT_TRUE(same_bits(scattered, reduction(size, {length * size}, at::kFloat, ReduceOp::kSum)
                                         .narrow(0, length * one->rank(), length)));
  }
}

inline void test_says_when_wait_would_not_block(const Make& make) {
  const auto group = make("group");
  at::Tensor tensor = values(group->rank(), {10000}, at::kDouble);
  Work work = group->all_reduce(tensor, ReduceOp::kSum);
  while (!work.test()) {
  }
  work.wait();
  EXPECT_TRUE(work.test());
  EXPECT_TRUE(same_bits(tensor, reduction(group->size(), {10000}, at::kDouble, ReduceOp::kSum)));
}

inline void the_maximum_with_nan_is_nan(const Make& make) {
  const auto group = make("group");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  at::Tensor tensor = at::full({3}, static_cast<float>(group->rank()));
  if (group->rank() == 0) tensor[0] = nan;
  if (group->rank() == group->size() - 1) tensor[1] = nan;
  group->all_reduce(tensor, ReduceOp::kMax).wait();
  EXPECT_TRUE(std::isnan(tensor[0].item<float>()));
  EXPECT_TRUE(std::isnan(tensor[1].item<float>()));
  EXPECT_EQ(tensor[2].item<float>(), static_cast<float>(group->size() - 1));
}

inline void barriers_return(const Make& make) {
  const auto group = make("group");
  for (int i = 0; i < 20; ++i) group->barrier();
}

inline void bad_calls_are_refused_before_anything_is_sent(const Make& make) {
  const auto group = make("group");
  const int size = group->size();
  const at::Tensor part = at::zeros({2, 4});
  const at::Tensor whole = at::zeros({2 * size, 4});
  const auto refused = [](const std::function<Work()>& call, const std::string& reason) {
    try {
      call().wait();
      ADD_FAILURE() << "accepted: " << reason;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kInternal);
      EXPECT_NE(error.problem().find(reason), std::string::npos) << error.what();
    }
  };
  const auto sum = ReduceOp::kSum;
  refused([&] { return group->all_reduce(at::Tensor(), sum); }, "undefined");
  refused([&] { return group->all_reduce(at::zeros({3, 4}).t(), sum); }, "not contiguous");
  refused([&] { return group->all_reduce(at::zeros({3}, at::kBool), sum); }, "no reduction");
  refused([&] { return group->all_reduce(at::zeros({3}, at::kMeta), sum); }, "not on cpu");
  refused([&] { return group->all_gather(at::zeros({2 * size + 1, 4}), part); }, "times");
  refused([&] { return group->all_gather(whole.to(at::kHalf), part); }, "output is");
  refused([&] { return group->reduce_scatter(part, at::zeros({2 * size + 1, 4}), sum); }, "times");
  refused([&] { return group->broadcast(part, size); }, "root");
  refused([&] { return group->exchange(std::vector<Transfer>{{part, size}}, {}); }, "peer");
  refused(
      [&] {
        return group->exchange(std::vector<Transfer>{{part, group->rank()}}, {});
      },
      "itself");
  const std::vector<std::int64_t> rows(size, 2);
  const std::vector<std::int64_t> wrong(size, 3);
  const at::Tensor output = at::zeros_like(whole);
  refused([&] { return group->all_to_all(output, whole, rows, wrong); }, "rows");
  refused([&] { return group->all_to_all(output, whole, {}, rows); }, "counts");
  refused([&] { return group->all_to_all(at::zeros({2 * size, 5}), whole, rows, rows); }, "fit");
  const at::Tensor memory = at::zeros({2 * size * 2, 4});
  if (size > 1) {
    refused([&] { return group->all_to_all(whole, whole, rows, rows); }, "overlap");
    refused(
        [&] { return group->all_gather(memory.narrow(0, 1, 2 * size), memory.narrow(0, 0, 2)); },
        "overlap");
  }
  group->barrier();  // The group still works.
}

#define CLOZE_CLAIM(function) \
  Claim { #function, function }
inline constexpr std::array kClaims = {
    CLOZE_CLAIM(all_reduce_is_the_reduction_in_rank_order),
    CLOZE_CLAIM(reduce_scatter_gives_each_rank_its_rows),
    CLOZE_CLAIM(all_gather_keeps_rank_order),
    CLOZE_CLAIM(all_to_all_moves_uneven_rows),
    CLOZE_CLAIM(broadcast_gives_all_the_tensor_of_the_root),
    CLOZE_CLAIM(an_exchange_ring_cannot_deadlock),
    CLOZE_CLAIM(a_chain_of_messages_keeps_its_order),
    CLOZE_CLAIM(calls_in_flight_may_be_waited_for_in_any_order),
    CLOZE_CLAIM(test_says_when_wait_would_not_block),
    CLOZE_CLAIM(the_maximum_with_nan_is_nan),
    CLOZE_CLAIM(barriers_return),
    CLOZE_CLAIM(bad_calls_are_refused_before_anything_is_sent),
};
#undef CLOZE_CLAIM

}  // namespace cloze::suite
