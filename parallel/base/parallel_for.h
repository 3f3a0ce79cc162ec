// Splits a range over the threads of this rank.
#pragma once

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace cloze {

// Threads that a parallel region started now would have.
inline int num_threads() {
#ifdef _OPENMP
  return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

// Calls body(first, last) on parts of [begin, end) whose sizes are multiples of `grain` (but for
// the last). Which thread runs which part is not fixed, so a body must not let a result depend
// on where a part starts: sums go over chunks of fixed size (see fixed_chunks in kernels).
template <typename Body>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, const Body& body) {
  if (end <= begin) return;
  const std::int64_t chunks = (end - begin + grain - 1) / grain;
  const std::int64_t parts = std::min<std::int64_t>(num_threads(), chunks);
  if (parts <= 1) {
    body(begin, end);
    return;
  }
#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(static_cast <int>(parts))
#endif
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t first = begin + chunks * part / parts * grain;
    const std::int64_t last = std::min(end, begin + chunks * (part + 1) / parts * grain);
    if (first < last) body(first, last);
  }
}

// Calls body(item, thread) for each item of [0, count), in no order: a thread that is done takes
// the next. Threads are numbered from 0, below num_threads().
template <typename Body>
void parallel_each(std::int64_t count, const Body& body) {
#ifdef _OPENMP
  const auto threads = static_cast<int>(std::min<std::int64_t>(num_threads(), count));
  if (threads > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (std::int64_t item = 0; item < count; ++item) body(item, omp_get_thread_num());
    return;
  }
#endif
  for (std::int64_t item = 0; item < count; ++item) body(item, 0);
}

}  // namespace cloze
