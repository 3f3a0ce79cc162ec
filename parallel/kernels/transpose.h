// Squares of numbers in vector registers, turned over their diagonal.
#pragma once

#include <utility>

namespace cloze {

// In two rows that lie `kDistance` apart, the upper row's numbers of odd blocks of kDistance and
// the lower row's numbers of even ones change places.
template <int kDistance, class Vector, int... kLane>
[[gnu::always_inline]] inline void exchange_blocks(Vector& upper, Vector& lower,
                                                   std::integer_sequence<int, kLane...>) {
  constexpr int kLanes = sizeof...(kLane);
  const Vector first = upper;
  upper = __builtin_shufflevector(
      first, lower, ((kLane & kDistance) != 0 ? kLane - kDistance + kLanes : kLane)...);
  lower = __builtin_shufflevector(
      first, lower, ((kLane & kDistance) != 0 ? kLane + kLanes : kLane + kDistance)...);
}

template <int kDistance, class Vector, int kLanes>
[[gnu::always_inline]] inline void transpose_blocks(Vector (&rows)[kLanes]) {
  if constexpr (kDistance > 0) {
    for (int i = 0; i < kLanes; ++i) {
      if ((i & kDistance) != 0) continue;
      exchange_blocks<kDistance>(rows[i], rows[i + kDistance],
                                 std::make_integer_sequence<int, kLanes>{});
    }
    transpose_blocks<kDistance / 2>(rows);
  }
}

// Rows become columns: as many vectors of the compiler (Vector[i] is a number) as each has lanes, a
// power of two. The halves of the square change places, then those of its quarters, and so on.
template <class Vector, int kLanes>
[[gnu::always_inline]] inline void transpose(Vector (&rows)[kLanes]) {
  static_assert(sizeof(rows[0]) == kLanes * sizeof(rows[0][0]));
  transpose_blocks<kLanes / 2>(rows);
}

}  // namespace cloze
