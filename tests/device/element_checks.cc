// Kernels that work on elements, or on rows by id: casts, AdamW, sums, rotary, embedding, dropout.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "parallel/kernels/adamw.h"
#include "parallel/kernels/cast.h"
#include "parallel/kernels/cuda/adamw.h"
#include "parallel/kernels/cuda/cast.h"
#include "parallel/kernels/cuda/dropout.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/rotary.h"
#include "parallel/kernels/cuda/sums.h"
#include "parallel/kernels/dropout.h"
#include "parallel/kernels/embedding.h"
#include "parallel/kernels/rotary.h"
#include "parallel/kernels/sums.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

template <class From, class To>
void check_cast(CheckReport& report, std::int64_t n, bool misaligned) {
  auto from = normals<From>(n, 1);
  const double special[] = {std::numeric_limits<double>::quiet_NaN(),
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::infinity(),
                            1e30,
                            -1e-30,
                            65519.999,
                            1.0 + 0x1p-8 + 0x1p-40,
                            1.0 + 0x1p-11,
                            6e-8};
  for (std::size_t i = 0; i < std::size(special) && static_cast<std::int64_t>(i) < n; ++i) {
    from[i] = to_stored<From>(special[i]);
  }
  std::vector<To> to(n);
  convert<From, To>(from.data(), to.data(), n);
  report.check(str("convert ", type_name<From>(), " to ", type_name<To>(), " ", n,
                   misaligned ? " misaligned" : ""),
               {{"to", doubles(to), 0}}, [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<From> d_from(from, misaligned);
                 DeviceArray<To> d_to(poisoned<To>(n));
                 cuda::convert<From, To>(d_from.data(), d_to.data(), n, nullptr);
                 return {doubles(d_to.read())};
               });
}

template <class T, class Acc>
void check_adamw_of(CheckReport& report, std::int64_t n, bool misaligned) {
  const auto gradient = normals<Acc>(n, 1);
  auto master = normals<Acc>(n, 2);
  auto exp_avg = normals<Acc>(n, 3, 0.1);
  auto exp_avg_sq = normals<Acc>(n, 4, 0.1);
  for (Acc& value : exp_avg_sq) value *= value;
  const auto master0 = master;
  const auto exp_avg0 = exp_avg;
  const auto exp_avg_sq0 = exp_avg_sq;
  std::vector<T> value = poisoned<T>(n);
  const AdamWStep step{.lr = 1e-2,
                       .weight_decay = 0.1,
                       .bias_correction1 = 0.3,
                       .bias_correction2 = 0.05,
                       .gradient_scale = 0.7};
  constexpr int kSteps = 3;
  for (int i = 0; i < kSteps; ++i) {
    adamw<T, Acc>(master.data(), value.data(), gradient.data(), exp_avg.data(), exp_avg_sq.data(),
                  n, step);
  }
  report.check(str("adamw ", type_name<T>(), " ", n, misaligned ? " misaligned" : ""),
               {{"master", doubles(master), 0},
                {"value", doubles(value), 0},
                {"exp_avg", doubles(exp_avg), 0},
                {"exp_avg_sq", doubles(exp_avg_sq), 0}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<Acc> d_master(master0, misaligned), d_gradient(gradient);
                 DeviceArray<Acc> d_exp_avg(exp_avg0), d_exp_avg_sq(exp_avg_sq0);
                 DeviceArray<T> d_value(poisoned<T>(n));
                 for (int i = 0; i < kSteps; ++i) {
                   cuda::adamw<T, Acc>(d_master.data(), d_value.data(), d_gradient.data(),
                                       d_exp_avg.data(), d_exp_avg_sq.data(), n, step, nullptr);
                 }
                 return {doubles(d_master.read()), doubles(d_value.read()),
                         doubles(d_exp_avg.read()), doubles(d_exp_avg_sq.read())};
               });
}

template <class T>
void check_sums_of(CheckReport& report, std::int64_t n, bool misaligned) {
  auto a = normals<T>(n, 1);
  auto b = normals<T>(n, 2);
  auto c = normals<T>(n, 3);
  const std::vector<double> squares = {sum_of_squares<T>(a.data(), n)};
  if (n > 2) b[1] = to_stored<T>(std::numeric_limits<double>::quiet_NaN());
  const std::vector<const T*> parts = {a.data(), b.data(), c.data()};
  std::vector<T> sum(n), largest(n);
  ordered_sum<T>(parts.data(), 3, sum.data(), n);
  ordered_max<T>(parts.data(), 3, largest.data(), n);
  report.check(
      str("sums ", type_name<T>(), " ", n, misaligned ? " misaligned" : ""),
      {{"squares", squares, 1e-12}, {"sum", doubles(sum), 0}, {"largest", doubles(largest), 0}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_a(a, misaligned), d_b(b), d_c(c), d_sum(poisoned<T>(n));
        DeviceArray<double> d_squares(poisoned<double>(1));
        auto workspace = device_workspace(cuda::sum_of_squares_workspace(n));
        const std::vector<const T*> d_parts = {d_a.data(), d_b.data(), d_c.data()};
        cuda::sum_of_squares<T>(d_a.data(), n, d_squares.data(), workspace.data(), nullptr);
        cuda::ordered_sum<T>(d_parts.data(), 3, d_sum.data(), n, nullptr);
        cuda::ordered_max<T>(d_parts.data(), 3, d_c.data(), n, nullptr);
        return {d_squares.read(), doubles(d_sum.read()), doubles(d_c.read())};
      });
}

template <class T>
void check_counts_of(CheckReport& report, const char* type, std::int64_t n) {
  std::vector<T> a(n), b(n), c(n), sum(n), largest(n);
  for (std::int64_t i = 0; i < n; ++i) {
    a[i] = static_cast<T>(i * 7 - 300);
    b[i] = std::numeric_limits<T>::max();  // Whose sums wrap.
    c[i] = static_cast<T>(i % 5);
  }
  const std::vector<const T*> parts = {a.data(), b.data(), c.data()};
  count_sum<T>(parts.data(), 3, sum.data(), n);
  const std::vector<const T*> ends = {a.data(), c.data()};
  count_max<T>(ends.data(), 2, largest.data(), n);
  const auto exact = [](const std::vector<T>& values) {
    std::vector<double> found;
    // Halves, which doubles hold.
    for (const T value : values) {
      const T high = value / 65536;
      const T low = value % 65536;
      found.push_back(static_cast<double>(high));
      found.push_back(static_cast<double>(low));
    }
    return found;
  };
  report.check(str("counts ", type, " ", n),
               {{"sum", exact(sum), 0}, {"largest", exact(largest), 0}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_a(a), d_b(b), d_c(c), d_sum(b);
                 const std::vector<const T*> d_parts = {d_a.data(), d_b.data(), d_c.data()};
                 cuda::count_sum<T>(d_parts.data(), 3, d_sum.data(), n, nullptr);
                 const std::vector<const T*> d_ends = {d_a.data(), d_c.data()};
                 cuda::count_max<T>(d_ends.data(), 2, d_b.data(), n, nullptr);
                 return {exact(d_sum.read()), exact(d_b.read())};
               });
}

struct RotarySize {
  std::int64_t n;
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t rotary_dim;
  std::int64_t gap;  // Elements between the heads of two tokens.
};

template <class T>
void check_rotary_of(CheckReport& report, const RotarySize& size, bool interleaved, bool inverse) {
  using A = Accumulator<T>;
  const std::int64_t row = size.heads * size.head_dim + size.gap;
  const auto x = normals<T>(size.n * row, 1);
  std::vector<std::int32_t> positions;
  for (std::int64_t t = 0; t < size.n; ++t) {
    positions.push_back(static_cast<std::int32_t>((t * 7) % 50));
  }
  const RotaryTable<A> table(10000.0, size.rotary_dim, 50);
  std::vector<T> turned = x;
  rotary<T>(turned.data(), row, size.n, size.heads, size.head_dim, size.rotary_dim,
            positions.data(), table.cos.data(), table.sin.data(), interleaved, inverse);
  report.check(str("rotary ", type_name<T>(), " ", size.n, "x", size.heads, "x", size.head_dim, "/",
                   size.rotary_dim, interleaved ? " interleaved" : "", inverse ? " inverse" : ""),
               {{"x", doubles(turned), 0}}, [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_x(x);
                 DeviceArray<std::int32_t> d_positions(positions);
                 DeviceArray<A> d_cos(table.cos), d_sin(table.sin);
                 cuda::rotary<T>(d_x.data(), row, size.n, size.heads, size.head_dim,
                                 size.rotary_dim, d_positions.data(), d_cos.data(), d_sin.data(),
                                 interleaved, inverse, nullptr);
                 return {doubles(d_x.read())};
               });
}

template <class T>
void check_embedding_of(CheckReport& report, std::int64_t n, std::int64_t rows, std::int64_t hidden,
                        bool misaligned) {
  using A = Accumulator<T>;
  constexpr std::int64_t kFirstId = 5;
  const auto table = normals<T>(rows * hidden, 1);
  const auto before = normals<T>(n * hidden, 2);
  const auto dout = normals<T>(n * hidden, 3);
  const auto dtable0 = normals<A>(rows * hidden, 4);
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < n; ++t) {
    // Ids below and above the shard too, and one that half of the tokens have.
    const std::uint64_t drawn = random_below({.seed = 5}, static_cast<std::uint64_t>(t),
                                             static_cast<std::uint64_t>(rows) + 10);
    ids.push_back(t % 2 == 0 ? 6 : static_cast<std::int32_t>(drawn));
  }
  std::vector<T> out = poisoned<T>(n * hidden);
  std::vector<T> added = before;
  std::vector<A> dtable = dtable0;
  embedding_forward<T>(table.data(), kFirstId, rows, ids.data(), out.data(), n, hidden, false);
  embedding_forward<T>(table.data(), kFirstId, rows, ids.data(), added.data(), n, hidden, true);
  embedding_backward<T>(dout.data(), ids.data(), kFirstId, rows, dtable.data(), n, hidden);
  report.check(
      str("embedding ", type_name<T>(), " ", n, " of ", rows, "x", hidden,
          misaligned ? " misaligned" : ""),
      {{"out", doubles(out), 0}, {"added", doubles(added), 0}, {"dtable", doubles(dtable), 0}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_table(table, misaligned), d_dout(dout), d_added(before);
        DeviceArray<T> d_out(poisoned<T>(n * hidden));
        DeviceArray<A> d_dtable(dtable0, misaligned);
        DeviceArray<std::int32_t> d_ids(ids);
        auto workspace = device_workspace(cuda::embedding_backward_workspace(n));
        cuda::embedding_forward<T>(d_table.data(), kFirstId, rows, d_ids.data(), d_out.data(), n,
                                   hidden, false, nullptr);
        cuda::embedding_forward<T>(d_table.data(), kFirstId, rows, d_ids.data(), d_added.data(), n,
                                   hidden, true, nullptr);
        cuda::embedding_backward<T>(d_dout.data(), d_ids.data(), kFirstId, rows, d_dtable.data(), n,
                                    hidden, workspace.data(), nullptr);
        return {doubles(d_out.read()), doubles(d_added.read()), doubles(d_dtable.read())};
      });
}

template <class T>
void check_dropout_of(CheckReport& report, std::int64_t n, std::int64_t hidden, double p,
                      bool with_bias, bool misaligned) {
  const auto residual = normals<T>(n * hidden, 1);
  const auto x = normals<T>(n * hidden, 2);
  const auto bias = normals<T>(hidden, 3);
  std::vector<std::int64_t> ordinals;
  std::vector<std::int32_t> index_in_row;
  for (std::int64_t t = 0; t < n; ++t) {
    ordinals.push_back((std::int64_t{1} << 33) + t / 7);
    index_in_row.push_back(static_cast<std::int32_t>(t % 7));
  }
  DropoutKey key{.p = p, .seed = 0x123456789abcdefULL, .layer = 3, .hidden_total = hidden};
  key.ordinals = ordinals.data();
  key.index_in_row = index_in_row.data();
  std::vector<T> y = poisoned<T>(n * hidden);
  std::vector<T> dx = poisoned<T>(n * hidden);
  dropout_add<T>(residual.data(), x.data(), with_bias ? bias.data() : nullptr, &key, y.data(), n,
                 hidden);
  dropout_backward<T>(x.data(), &key, dx.data(), n, hidden);
  report.check(
      str("dropout ", type_name<T>(), " ", n, "x", hidden, " p ", p, with_bias ? " with bias" : "",
          misaligned ? " misaligned" : ""),
      {{"y", doubles(y), 0}, {"dx", doubles(dx), 0}}, [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_residual(residual), d_x(x, misaligned), d_bias(bias);
        DeviceArray<std::int64_t> d_ordinals(ordinals);
        DeviceArray<std::int32_t> d_index(index_in_row);
        DropoutKey d_key = key;
        d_key.ordinals = d_ordinals.data();
        d_key.index_in_row = d_index.data();
        // y replaces the residual, dx replaces dy.
        cuda::dropout_add<T>(d_residual.data(), d_x.data(), with_bias ? d_bias.data() : nullptr,
                             &d_key, d_residual.data(), n, hidden, nullptr);
        cuda::dropout_backward<T>(d_x.data(), &d_key, d_x.data(), n, hidden, nullptr);
        return {doubles(d_residual.read()), doubles(d_x.read())};
      });
}

}  // namespace

void check_casts(CheckReport& report) {
  for_storage_types(report, [&](auto from) {
    for_storage_types(report, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      check_cast<From, To>(report, 1, false);
      check_cast<From, To>(report, 1000, false);
      check_cast<From, To>(report, 1000, true);
      check_cast<From, To>(report, 3001, false);
    });
  });
}

void check_adamw(CheckReport& report) {
  for (const std::int64_t n : {1, 1000, 4099}) {
    for (const bool misaligned : {false, true}) {
      check_adamw_of<double, double>(report, n, misaligned);
      check_adamw_of<float, float>(report, n, misaligned);
      check_adamw_of<BFloat16, float>(report, n, misaligned);
      check_adamw_of<Float16, float>(report, n, misaligned);
    }
  }
}

void check_sums(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    for (const std::int64_t n : {1, 1000, 65536 + 8, 150001}) {
      check_sums_of<decltype(type)>(report, n, n == 1000);
    }
  });
  for (const std::int64_t n : {1, 1000, 70001}) {
    check_counts_of<std::int64_t>(report, "i64", n);
    check_counts_of<std::int32_t>(report, "i32", n);
    check_counts_of<std::uint8_t>(report, "u8", n);
  }
}

void check_rotary(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    for (const RotarySize& size : {RotarySize{1, 1, 2, 2, 0},
                                   {5, 3, 64, 32, 64},
                                   {3, 4, 128, 128, 0},
                                   {4, 2, 20, 10, 1},
                                   {2, 40, 128, 64, 8}}) {
      check_rotary_of<T>(report, size, false, false);
      check_rotary_of<T>(report, size, true, true);
    }
  });
}

void check_embeddings(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    check_embedding_of<T>(report, 1, 4, 8, false);
    check_embedding_of<T>(report, 50, 7, 33, false);
    check_embedding_of<T>(report, 61, 20, 64, true);
    check_embedding_of<T>(report, 300, 90, 1032, false);
  });
  check_embedding_of<float>(report, 5000, 3000, 4, false);  // More keys than a sorting tile.
}

void check_dropout(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    check_dropout_of<T>(report, 1, 1, 0.5, false, false);
    check_dropout_of<T>(report, 20, 33, 0.1, true, false);
    check_dropout_of<T>(report, 20, 64, 0.3, true, true);
    check_dropout_of<T>(report, 9, 1000, 0.2, true, false);
    check_dropout_of<T>(report, 15, 22, 0.2, false, false);  // Rows begin inside Philox blocks.
    check_dropout_of<T>(report, 5, 40, 0.0, true, false);
  });
}

}  // namespace cloze
