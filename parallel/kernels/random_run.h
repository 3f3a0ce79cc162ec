// Runs of consecutive random numbers, several Philox blocks at a time. See parallel/base/random.h
// for the generator; these are its numbers.
#pragma once

#include <cstdint>

#include "parallel/base/random.h"
#include "parallel/kernels/dropout_limit.h"
#include "parallel/kernels/pack.h"

namespace cloze {

// Writes numbers [first, first + count) of the stream into `buffer` and returns where the first
// one lies. The buffer holds at least count + 40 words.
template <class Set>
[[gnu::noinline]] const std::uint32_t* random_run(const RandomKey& key, std::uint64_t first,
                                                  std::int64_t count, std::uint32_t* buffer) {
  using Words = Register<double, Set>::Words;  // A 32-bit word per 64-bit lane.
  constexpr int kBlocks = sizeof(Words) / 8;   // Philox blocks side by side.
  // The counter's words for group 0; random_block() fixes the layout.
  const std::uint64_t word1 = (std::uint64_t{static_cast<std::uint32_t>(key.domain)} << 24) |
                              ((key.layer & 0xFFFU) << 12) | ((key.site & 0xFFU) << 4);
  const std::uint64_t word3 = (key.ordinal >> 32) ^ (std::uint64_t{(key.site >> 8) & 0xFFU} << 24);
  Words lane{};
  for (int block = 0; block < kBlocks; ++block) lane[block] = block;

  const auto skipped = static_cast<std::int64_t>(first % 4);
  for (std::int64_t done = 0; done < skipped + count; done += 4 * kBlocks) {
    const Words group = lane + (first / 4 + static_cast<std::uint64_t>(done) / 4);
    Words counter0 = group;
    Words counter1 = word1 | ((group >> 32) & 15U);
    Words counter2 = Words{} + key.ordinal;
    Words counter3 = Words{} + word3;
    auto key0 = static_cast<std::uint32_t>(key.seed);
    auto key1 = static_cast<std::uint32_t>(key.seed >> 32);
    // Only the low half of a lane counts: low_product reads no more.
    for (int round = 0; round < 10; ++round) {
      const Words product0 = low_product(counter0, Words{} + 0xD2511F53U);
      const Words product1 = low_product(counter2, Words{} + 0xCD9E8D57U);
      counter0 = (product1 >> 32) ^ counter1 ^ key0;
      counter2 = (product0 >> 32) ^ counter3 ^ key1;
      counter1 = product1;
      counter3 = product0;
      key0 += 0x9E3779B9U;
      key1 += 0xBB67AE85U;
    }
    const Words first_two = (counter0 & 0xFFFFFFFFU) | (counter1 << 32);
    const Words last_two = (counter2 & 0xFFFFFFFFU) | (counter3 << 32);
    for (int block = 0; block < kBlocks; ++block) {
      std::uint32_t* to = buffer + done + 4 * static_cast<std::int64_t>(block);
      to[0] = static_cast<std::uint32_t>(first_two[block]);
      to[1] = static_cast<std::uint32_t>(first_two[block] >> 32);
      to[2] = static_cast<std::uint32_t>(last_two[block]);
      to[3] = static_cast<std::uint32_t>(last_two[block] >> 32);
    }
  }
  return buffer + skipped;
}

}  // namespace cloze
