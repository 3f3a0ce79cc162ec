// The three phases of vocabulary-parallel softmax cross-entropy; a row is one thread's work.
#include "parallel/kernels/cross_entropy.h"

#include <limits>

#include "parallel/kernels/elementary.h"

namespace cloze {

template <class T>
struct RowMax {
  using A = Accumulator<T>;
  const T* logits;
  std::int64_t ld;
  std::int64_t vocab;
  A* max_out;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void RowMax<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  constexpr A kLowest = -std::numeric_limits<A>::infinity();
  for (std::int64_t row = first; row < last; ++row) {
    const T* from = logits + row * ld;
    // Four running packs, because a maximum takes several cycles. A NaN does not count here; it
    // shows in the sums.
    P largest0(kLowest), largest1(kLowest), largest2(kLowest), largest3(kLowest);
    std::int64_t i = 0;
    for (; i + 4 * P::kLanes <= vocab; i += 4 * P::kLanes) {
      largest0 = max(load<P>(from + i), largest0);
      largest1 = max(load<P>(from + i + P::kLanes), largest1);
      largest2 = max(load<P>(from + i + 2 * P::kLanes), largest2);
      largest3 = max(load<P>(from + i + 3 * P::kLanes), largest3);
    }
    for_each_pack<P>(vocab - i, [&](std::int64_t j, auto at) {
      largest0 = max(keep(load<P>(from + i + j, at), at, kLowest), largest0);
    });
    max_out[row] = max(max(max(largest0, largest1), max(largest2, largest3)));
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(RowMax);

template <class T>
struct RowSums {
  using A = Accumulator<T>;
  const T* logits;
  std::int64_t ld;
  std::int64_t vocab;
  std::int64_t first_id;
  const std::int32_t* targets;
  const A* max_in;
  A* sum_out;
  A* target_logit;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void RowSums<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  for (std::int64_t row = first; row < last; ++row) {
    const T* from = logits + row * ld;
    const P largest(max_in[row]);
    sum_out[row] = sum_of_packs<P>(vocab, [&](std::int64_t i, auto at) {
      return exp_or_zero(load<P>(from + i, at) - largest);
    });
    const std::int64_t target = targets[row] - first_id;
    const bool here = target >= 0 && target < vocab;
    target_logit[row] = here ? static_cast<A>(from[target]) - max_in[row] : A{0};
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(RowSums);

template <class T>
struct SoftmaxGradient {
  using A = Accumulator<T>;
  T* logits;
  std::int64_t ld;
  std::int64_t vocab;
  std::int64_t first_id;
  const std::int32_t* targets;
  const A* max_in;
  const A* sum_in;
  const A* weight;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void SoftmaxGradient<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  for (std::int64_t row = first; row < last; ++row) {
    T* at_row = logits + row * ld;
    if (weight[row] == 0) {
      for_each_pack<P>(vocab, [&](std::int64_t i, auto at) { store(at_row + i, P(0), at); });
      continue;
    }
    const P largest(max_in[row]);
    const P factor(weight[row] / sum_in[row]);
    const std::int64_t target = targets[row] - first_id;
    const bool here = target >= 0 && target < vocab;
    // The target's element is rounded to T once, from its own logit.
    T of_target{};
    if (here) {
      const P softmax = exp_or_zero(load<P>(at_row + target, Tail{1}) - largest) * factor;
      store(&of_target, softmax - P(weight[row]), Tail{1});
    }
    for_each_pack<P>(vocab, [&](std::int64_t i, auto at) {
      store(at_row + i, exp_or_zero(load<P>(at_row + i, at) - largest) * factor, at);
    });
    if (here) at_row[target] = of_target;
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(SoftmaxGradient);

#ifndef CLOZE_KERNEL_AVX512

template <class T>
void row_max(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
             Accumulator<T>* max) {
  run_parallel(RowMax<T>{logits, ld, vocab, max}, n, grain_of(vocab * sizeof(T)));
}

template <class T>
void row_sums(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
              std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
              Accumulator<T>* sum, Accumulator<T>* target_logit) {
  run_parallel(RowSums<T>{logits, ld, vocab, first_id, targets, max, sum, target_logit}, n,
               grain_of(vocab * sizeof(T)));
}

template <class T>
void softmax_gradient(T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
                      std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
                      const Accumulator<T>* sum, const Accumulator<T>* weight) {
  run_parallel(SoftmaxGradient<T>{logits, ld, vocab, first_id, targets, max, sum, weight}, n,
               grain_of(vocab * sizeof(T)));
}

#define CLOZE_INSTANTIATE(T)                                                                  \
  template void row_max(const T*, std::int64_t, std::int64_t, std::int64_t, Accumulator<T>*); \
  template void row_sums(const T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,    \
                         const std::int32_t*, const Accumulator<T>*, Accumulator<T>*,         \
                         Accumulator<T>*);                                                    \
  template void softmax_gradient(T*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,  \
                                 const std::int32_t*, const Accumulator<T>*,                  \
                                 const Accumulator<T>*, const Accumulator<T>*)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
