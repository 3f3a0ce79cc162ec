// The three phases of cross-entropy.
#include <string>
#include <vector>

#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/cuda/cross_entropy.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

template <class T>
void check_shard(CheckReport& report, std::int64_t n, std::int64_t vocab, std::int64_t ld,
                 bool misaligned) {
  using A = Accumulator<T>;
  constexpr std::int64_t kFirstId = 100;
  const auto logits = normals<T>(n * ld, 1, 4.0);
  std::vector<std::int32_t> targets;
  std::vector<A> weight;
  for (std::int64_t t = 0; t < n; ++t) {
    targets.push_back(static_cast<std::int32_t>(kFirstId - 2 + (t * 37) % (vocab + 4)));
    weight.push_back(t % 5 == 3 ? A{0} : static_cast<A>(0.25 + 0.125 * static_cast<double>(t % 3)));
  }
  std::vector<double> max(n), sum(n), target_logit(n), gradient = doubles(logits);
  row_max<double>(gradient.data(), ld, n, vocab, max.data());
  row_sums<double>(gradient.data(), ld, n, vocab, kFirstId, targets.data(), max.data(), sum.data(),
                   target_logit.data());
  // As after the all-reduces of an empty shard.
  const auto global_max = vocab == 0 ? std::vector<double>(n, 0.5) : max;
  const auto global_sum = vocab == 0 ? std::vector<double>(n, 2.0) : sum;
  softmax_gradient<double>(gradient.data(), ld, n, vocab, kFirstId, targets.data(),
                           global_max.data(), global_sum.data(), doubles(weight).data());
  const auto to_stored_all = [](const std::vector<double>& values) {
    std::vector<A> result;
    for (const double value : values) result.push_back(static_cast<A>(value));
    return result;
  };
  report.check(str("cross_entropy ", type_name<T>(), " ", n, "x", vocab, " of ", ld,
                   misaligned ? " misaligned" : ""),
               {{"max", max, 0},
                {"sum", sum, 2 * tolerance<A>()},
                {"target_logit", target_logit, tolerance<A>()},
                {"gradient", gradient, tolerance<T>()}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_logits(logits, misaligned);
                 DeviceArray<std::int32_t> d_targets(targets);
                 DeviceArray<A> d_weight(weight), d_max(poisoned<A>(n)), d_sum(poisoned<A>(n));
                 DeviceArray<A> d_target_logit(poisoned<A>(n));
                 DeviceArray<A> d_global_max(to_stored_all(global_max));
                 DeviceArray<A> d_global_sum(to_stored_all(global_sum));
                 cuda::row_max<T>(d_logits.data(), ld, n, vocab, d_max.data(), nullptr);
                 cuda::row_sums<T>(d_logits.data(), ld, n, vocab, kFirstId, d_targets.data(),
                                   d_max.data(), d_sum.data(), d_target_logit.data(), nullptr);
                 cuda::softmax_gradient<T>(d_logits.data(), ld, n, vocab, kFirstId,
                                           d_targets.data(), d_global_max.data(),
                                           d_global_sum.data(), d_weight.data(), nullptr);
                 return {doubles(d_max.read()), doubles(d_sum.read()),
                         doubles(d_target_logit.read()), doubles(d_logits.read())};
               });
}

}  // namespace

void check_cross_entropy(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    check_shard<T>(report, 1, 1, 1, false);
    check_shard<T>(report, 7, 0, 8, false);
    check_shard<T>(report, 7, 5, 8, false);
    check_shard<T>(report, 11, 100, 104, false);
    check_shard<T>(report, 11, 100, 104, true);
    check_shard<T>(report, 6, 1031, 1040, false);
    check_shard<T>(report, 3, 6007, 6007, false);
  });
}

}  // namespace cloze
