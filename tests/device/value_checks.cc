// Rows with NaNs and infinities: they show in the results of the GPU's kernels as in the CPU's.
#include <limits>
#include <string>
#include <vector>

#include "parallel/kernels/activation.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/cuda/activation.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/cross_entropy.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/cuda/sums.h"
#include "parallel/kernels/embedding.h"
#include "parallel/kernels/norm.h"
#include "parallel/kernels/sums.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kRows = 9;

// [kRows, width]: a NaN first, last, everywhere, an infinity of either sign, both, -infinity
// everywhere, an infinity beside a NaN; the last row is of numbers.
template <class T>
std::vector<T> rows_of_no_numbers(std::int64_t width, std::uint64_t seed) {
  auto rows = normals<T>(kRows * width, seed);
  const auto set = [&](std::int64_t row, std::int64_t column, double value) {
    rows[row * width + column] = to_stored<T>(value);
  };
  set(0, 0, kNaN);
  set(1, width - 1, kNaN);
  set(3, width / 2, kInfinity);
  set(4, width / 3, -kInfinity);
  set(5, 1, kInfinity);
  set(5, width - 2, -kInfinity);
  set(7, 0, kInfinity);
  set(7, width - 1, kNaN);
  for (std::int64_t i = 0; i < width; ++i) {
    set(2, i, kNaN);
    set(6, i, -kInfinity);
  }
  return rows;
}

template <class T>
void check_norms_of(CheckReport& report, std::int64_t width) {
  using A = Accumulator<T>;
  const auto x = rows_of_no_numbers<T>(width, 1);
  const auto weight = normals<T>(width, 2);
  const auto bias = normals<T>(width, 3);
  const auto dy = normals<T>(kRows * width, 4);
  std::vector<T> y(kRows * width), dx(kRows * width), centered(kRows * width);
  std::vector<A> rstd(kRows), mean(kRows), spread(kRows), dweight(width);
  rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), kRows, width, 1e-5);
  rms_norm_backward<T>(dy.data(), x.data(), weight.data(), rstd.data(), dx.data(), dweight.data(),
                       kRows, width, nullptr);
  layer_norm_forward<T>(x.data(), weight.data(), bias.data(), centered.data(), mean.data(),
                        spread.data(), kRows, width, 1e-5);
  const double allowed = 2 * tolerance<T>();
  report.check(str("norms of no numbers ", type_name<T>(), " ", width),
               {{"y", doubles(y), allowed},
                {"rstd", doubles(rstd), tolerance<A>()},
                {"dx", doubles(dx), allowed},
                {"dweight", doubles(dweight), 2 * allowed},
                {"centered", doubles(centered), allowed},
                {"mean", doubles(mean), tolerance<A>()}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_x(x), d_weight(weight), d_bias(bias), d_dy(dy);
                 DeviceArray<T> d_y(y), d_dx(dx), d_centered(centered);
                 DeviceArray<A> d_rstd(poisoned<A>(kRows)), d_mean(poisoned<A>(kRows));
                 DeviceArray<A> d_spread(poisoned<A>(kRows)), d_dweight(std::vector<A>(width, 0));
                 auto workspace = device_workspace(cuda::norm_backward_workspace<T>(kRows, width));
                 cuda::rms_norm_forward<T>(d_x.data(), d_weight.data(), d_y.data(), d_rstd.data(),
                                           kRows, width, 1e-5, nullptr, nullptr, nullptr);
                 cuda::rms_norm_backward<T>(d_dy.data(), d_x.data(), d_weight.data(), d_rstd.data(),
                                            d_dx.data(), d_dweight.data(), kRows, width, nullptr,
                                            workspace.data(), nullptr);
                 cuda::layer_norm_forward<T>(d_x.data(), d_weight.data(), d_bias.data(),
                                             d_centered.data(), d_mean.data(), d_spread.data(),
                                             kRows, width, 1e-5, nullptr, nullptr, nullptr);
                 return {doubles(d_y.read()),        doubles(d_rstd.read()),
                         doubles(d_dx.read()),       doubles(d_dweight.read()),
                         doubles(d_centered.read()), doubles(d_mean.read())};
               });
}

// The rows are [gate, up] of SwiGLU, and x of GELU.
template <class T>
void check_activations_of(CheckReport& report, std::int64_t width) {
  const auto x = rows_of_no_numbers<T>(width, 1);
  const auto dout = normals<T>(kRows * width, 2);
  std::vector<T> swiglu(kRows * width / 2), gelu(kRows * width), dgate_up(kRows * width),
      dx(kRows * width);
  swiglu_forward<T>(x.data(), swiglu.data(), kRows, width / 2);
  swiglu_backward<T>(dout.data(), x.data(), dgate_up.data(), kRows, width / 2);
  gelu_forward<T>(x.data(), nullptr, gelu.data(), kRows, width);
  gelu_backward<T>(dout.data(), x.data(), nullptr, dx.data(), kRows, width);
  const double allowed = tolerance<T>();
  report.check(str("activations of no numbers ", type_name<T>(), " ", width),
               {{"swiglu", doubles(swiglu), allowed},
                {"dgate_up", doubles(dgate_up), allowed},
                {"gelu", doubles(gelu), allowed},
                {"dx", doubles(dx), allowed}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_x(x), d_dout(dout), d_swiglu(swiglu), d_gelu(gelu);
                 DeviceArray<T> d_dgate_up(dgate_up), d_dx(dx);
                 cuda::swiglu_forward<T>(d_x.data(), d_swiglu.data(), kRows, width / 2, nullptr);
                 cuda::swiglu_backward<T>(d_dout.data(), d_x.data(), d_dgate_up.data(), kRows,
                                          width / 2, nullptr);
                 cuda::gelu_forward<T>(d_x.data(), nullptr, d_gelu.data(), kRows, width, nullptr);
                 cuda::gelu_backward<T>(d_dout.data(), d_x.data(), nullptr, d_dx.data(), kRows,
                                        width, nullptr);
                 return {doubles(d_swiglu.read()), doubles(d_dgate_up.read()),
                         doubles(d_gelu.read()), doubles(d_dx.read())};
               });
}

template <class T>
void check_cross_entropy_of(CheckReport& report, std::int64_t vocab) {
  using A = Accumulator<T>;
  const auto logits = rows_of_no_numbers<T>(vocab, 1);
  std::vector<std::int32_t> targets(kRows, 2);
  targets[0] = 0;
  targets[4] = static_cast<std::int32_t>(vocab / 3);
  const std::vector<A> weight(kRows, A{0.5});
  std::vector<A> max(kRows), sum(kRows), target_logit(kRows);
  std::vector<T> gradient = logits;
  row_max<T>(logits.data(), vocab, kRows, vocab, max.data());
  row_sums<T>(logits.data(), vocab, kRows, vocab, 0, targets.data(), max.data(), sum.data(),
              target_logit.data());
  softmax_gradient<T>(gradient.data(), vocab, kRows, vocab, 0, targets.data(), max.data(),
                      sum.data(), weight.data());
  report.check(
      str("cross_entropy of no numbers ", type_name<T>(), " ", vocab),
      {{"max", doubles(max), 0},
       {"sum", doubles(sum), 2 * tolerance<A>()},
       {"target_logit", doubles(target_logit), tolerance<A>()},
       {"gradient", doubles(gradient), tolerance<T>()}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_logits(logits);
        DeviceArray<std::int32_t> d_targets(targets);
        DeviceArray<A> d_max(max), d_sum(sum), d_target_logit(target_logit), d_weight(weight);
        cuda::row_max<T>(d_logits.data(), vocab, kRows, vocab, d_max.data(), nullptr);
        cuda::row_sums<T>(d_logits.data(), vocab, kRows, vocab, 0, d_targets.data(), d_max.data(),
                          d_sum.data(), d_target_logit.data(), nullptr);
        cuda::softmax_gradient<T>(d_logits.data(), vocab, kRows, vocab, 0, d_targets.data(),
                                  d_max.data(), d_sum.data(), d_weight.data(), nullptr);
        return {doubles(d_max.read()), doubles(d_sum.read()), doubles(d_target_logit.read()),
                doubles(d_logits.read())};
      });
}

// Sums of rows, of columns, of all that a row of a table was for, and over parts.
template <class T>
void check_sums_of(CheckReport& report, std::int64_t width) {
  using A = Accumulator<T>;
  const auto x = rows_of_no_numbers<T>(width, 1);
  const auto other = normals<T>(kRows * width, 2);
  const std::int64_t n = kRows * width;
  std::vector<std::int32_t> ids;
  for (std::int32_t row = 0; row < kRows; ++row) ids.push_back(row / 2);
  std::vector<A> dbias(width), dtable(kRows * width);
  std::vector<T> sum(n), largest(n), reversed(n);
  bias_gradient<T>(x.data(), dbias.data(), kRows, width);
  embedding_backward<T>(x.data(), ids.data(), 0, kRows, dtable.data(), kRows, width);
  const std::vector<const T*> parts = {x.data(), other.data()};
  const std::vector<const T*> turned = {other.data(), x.data()};
  ordered_sum<T>(parts.data(), 2, sum.data(), n);
  ordered_max<T>(parts.data(), 2, largest.data(), n);
  ordered_max<T>(turned.data(), 2, reversed.data(), n);
  std::vector<double> squares;
  for (std::int64_t row = 0; row < kRows; ++row) {
    squares.push_back(sum_of_squares<T>(x.data() + row * width, width));
  }
  report.check(
      str("sums of no numbers ", type_name<T>(), " ", width),
      {{"dbias", doubles(dbias), 4 * tolerance<A>()},
       {"dtable", doubles(dtable), 0},
       {"sum", doubles(sum), 0},
       {"largest", doubles(largest), 0},
       {"reversed", doubles(reversed), 0},
       {"squares", squares, 1e-12}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_x(x), d_other(other), d_sum(sum), d_largest(sum), d_reversed(sum);
        DeviceArray<A> d_dbias(std::vector<A>(width, 0)), d_dtable(std::vector<A>(n, 0));
        DeviceArray<std::int32_t> d_ids(ids);
        DeviceArray<double> d_squares(poisoned<double>(kRows));
        auto of_bias = device_workspace(cuda::bias_gradient_workspace<T>(kRows, width));
        auto of_table = device_workspace(cuda::embedding_backward_workspace(kRows));
        auto of_squares = device_workspace(cuda::sum_of_squares_workspace(width));
        cuda::bias_gradient<T>(d_x.data(), d_dbias.data(), kRows, width, of_bias.data(), nullptr);
        cuda::embedding_backward<T>(d_x.data(), d_ids.data(), 0, kRows, d_dtable.data(), kRows,
                                    width, of_table.data(), nullptr);
        const std::vector<const T*> d_parts = {d_x.data(), d_other.data()};
        const std::vector<const T*> d_turned = {d_other.data(), d_x.data()};
        cuda::ordered_sum<T>(d_parts.data(), 2, d_sum.data(), n, nullptr);
        cuda::ordered_max<T>(d_parts.data(), 2, d_largest.data(), n, nullptr);
        cuda::ordered_max<T>(d_turned.data(), 2, d_reversed.data(), n, nullptr);
        for (std::int64_t row = 0; row < kRows; ++row) {
          cuda::sum_of_squares<T>(d_x.data() + row * width, width, d_squares.data() + row,
                                  of_squares.data(), nullptr);
        }
        return {doubles(d_dbias.read()),   doubles(d_dtable.read()),   doubles(d_sum.read()),
                doubles(d_largest.read()), doubles(d_reversed.read()), d_squares.read()};
      });
}

}  // namespace

void check_values(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    for (const std::int64_t width : {40, 1030}) {
      check_norms_of<T>(report, width);
      check_activations_of<T>(report, width);
      check_cross_entropy_of<T>(report, width);
      check_sums_of<T>(report, width);
    }
  });
}

}  // namespace cloze
