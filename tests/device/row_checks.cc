// Kernels that work row by row: norms, activations, biases.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "parallel/kernels/activation.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cuda/activation.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/norm.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

struct RowSize {
  std::int64_t n;
  std::int64_t width;
  bool misaligned = false;
};

template <class T>
std::string title(const std::string& kernel, const RowSize& size) {
  return str(kernel, " ", type_name<T>(), " ", size.n, "x", size.width,
             size.misaligned ? " misaligned" : "");
}

template <class T>
void check_rms_norm(CheckReport& report, const RowSize& size, bool fused) {
  using A = Accumulator<T>;
  const std::int64_t n = size.n;
  const std::int64_t hidden = size.width;
  const double eps = 1e-5;
  const auto x = normals<T>(n * hidden, 1);
  const auto delta = normals<T>(n * hidden, 2);
  const auto weight = normals<T>(hidden, 3);
  const auto dy = normals<T>(n * hidden, 4);
  const auto dresidual = normals<T>(n * hidden, 5);
  std::vector<T> sum = x;
  if (fused) {
    for (std::int64_t i = 0; i < n * hidden; ++i) {
      sum[i] = to_stored<T>(rounded<T>(to_double(x[i]) + to_double(delta[i])));
    }
  }
  std::vector<double> y(n * hidden), rstd(n), dx(n * hidden), dweight(hidden, 0.25);
  rms_norm_forward<double>(doubles(sum).data(), doubles(weight).data(), y.data(), rstd.data(), n,
                           hidden, eps);
  rms_norm_backward<double>(doubles(dy).data(), doubles(sum).data(), doubles(weight).data(),
                            rstd.data(), dx.data(), dweight.data(), n, hidden,
                            fused ? doubles(dresidual).data() : nullptr);
  const double allowed = 2 * tolerance<T>();
  report.check(
      title<T>(fused ? "rms_norm with residual" : "rms_norm", size),
      {{"sum", doubles(sum), 0},
       {"y", y, allowed},
       {"rstd", rstd, tolerance<A>()},
       {"dx", dx, allowed},
       {"dweight", dweight, allowed * std::max(2.0, std::sqrt(static_cast<double>(n)) / 4)}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_x(x, size.misaligned), d_delta(delta), d_weight(weight), d_dy(dy);
        DeviceArray<T> d_y(poisoned<T>(n * hidden));
        DeviceArray<A> d_rstd(poisoned<A>(n)), d_dweight(std::vector<A>(hidden, A{0.25}));
        DeviceArray<T> d_dx(fused ? dresidual : poisoned<T>(n * hidden));
        auto workspace = device_workspace(cuda::norm_backward_workspace<T>(n, hidden));
        // Fused, the sum replaces x and dx replaces dresidual.
        cuda::rms_norm_forward<T>(d_x.data(), d_weight.data(), d_y.data(), d_rstd.data(), n, hidden,
                                  eps, fused ? d_delta.data() : nullptr,
                                  fused ? d_x.data() : nullptr, nullptr);
        cuda::rms_norm_backward<T>(d_dy.data(), d_x.data(), d_weight.data(), d_rstd.data(),
                                   d_dx.data(), d_dweight.data(), n, hidden,
                                   fused ? d_dx.data() : nullptr, workspace.data(), nullptr);
        return {doubles(d_x.read()), doubles(d_y.read()), doubles(d_rstd.read()),
                doubles(d_dx.read()), doubles(d_dweight.read())};
      });
}

template <class T>
void check_layer_norm(CheckReport& report, const RowSize& size, bool fused) {
  using A = Accumulator<T>;
  const std::int64_t n = size.n;
  const std::int64_t hidden = size.width;
  const double eps = 1e-5;
  const auto x = normals<T>(n * hidden, 1);
  const auto delta = normals<T>(n * hidden, 2);
  const auto weight = normals<T>(hidden, 3);
  const auto bias = normals<T>(hidden, 6);
  const auto dy = normals<T>(n * hidden, 4);
  const auto dresidual = normals<T>(n * hidden, 5);
  std::vector<T> sum = x;
  if (fused) {
    for (std::int64_t i = 0; i < n * hidden; ++i) {
      sum[i] = to_stored<T>(rounded<T>(to_double(x[i]) + to_double(delta[i])));
    }
  }
  std::vector<double> y(n * hidden), mean(n), rstd(n), dx(n * hidden), dweight(hidden, 0.25),
      dbias(hidden, -0.5);
  layer_norm_forward<double>(doubles(sum).data(), doubles(weight).data(), doubles(bias).data(),
                             y.data(), mean.data(), rstd.data(), n, hidden, eps);
  layer_norm_backward<double>(doubles(dy).data(), doubles(sum).data(), doubles(weight).data(),
                              mean.data(), rstd.data(), dx.data(), dweight.data(), dbias.data(), n,
                              hidden, fused ? doubles(dresidual).data() : nullptr);
  const double allowed = 2 * tolerance<T>();
  report.check(
      title<T>(fused ? "layer_norm with residual" : "layer_norm", size),
      {{"sum", doubles(sum), 0},
       {"y", y, allowed},
       {"mean", mean, tolerance<A>()},
       {"rstd", rstd, tolerance<A>()},
       {"dx", dx, allowed},
       {"dweight", dweight, 2 * tolerance<A>()},
       {"dbias", dbias, 2 * tolerance<A>()}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_x(x), d_delta(delta, size.misaligned), d_weight(weight), d_bias(bias);
        DeviceArray<T> d_y(poisoned<T>(n * hidden)), d_dy(dy, size.misaligned);
        DeviceArray<A> d_mean(poisoned<A>(n)), d_rstd(poisoned<A>(n));
        DeviceArray<A> d_dweight(std::vector<A>(hidden, A{0.25}));
        DeviceArray<A> d_dbias(std::vector<A>(hidden, A{-0.5}));
        DeviceArray<T> d_sum(poisoned<T>(n * hidden)), d_dresidual(dresidual);
        auto workspace = device_workspace(cuda::norm_backward_workspace<T>(n, hidden));
        T* const normed = fused ? d_sum.data() : d_x.data();
        cuda::layer_norm_forward<T>(
            d_x.data(), d_weight.data(), d_bias.data(), d_y.data(), d_mean.data(), d_rstd.data(), n,
            hidden, eps, fused ? d_delta.data() : nullptr, fused ? d_sum.data() : nullptr, nullptr);
        // dx replaces dy.
        cuda::layer_norm_backward<T>(d_dy.data(), normed, d_weight.data(), d_mean.data(),
                                     d_rstd.data(), d_dy.data(), d_dweight.data(), d_dbias.data(),
                                     n, hidden, fused ? d_dresidual.data() : nullptr,
                                     workspace.data(), nullptr);
        return {doubles((fused ? d_sum : d_x).read()),
                doubles(d_y.read()),
                doubles(d_mean.read()),
                doubles(d_rstd.read()),
                doubles(d_dy.read()),
                doubles(d_dweight.read()),
                doubles(d_dbias.read())};
      });
}

template <class T>
void check_swiglu(CheckReport& report, const RowSize& size) {
  const std::int64_t n = size.n;
  const std::int64_t f = size.width;
  const auto gate_up = normals<T>(n * 2 * f, 1, 2.0);
  const auto dout = normals<T>(n * f, 2);
  std::vector<double> out(n * f), dgate_up(n * 2 * f);
  swiglu_forward<double>(doubles(gate_up).data(), out.data(), n, f);
  swiglu_backward<double>(doubles(dout).data(), doubles(gate_up).data(), dgate_up.data(), n, f);
  report.check(title<T>("swiglu", size),
               {{"out", out, tolerance<T>()}, {"dgate_up", dgate_up, tolerance<T>()}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_gate_up(gate_up, size.misaligned), d_dout(dout);
                 DeviceArray<T> d_out(poisoned<T>(n * f));
                 cuda::swiglu_forward<T>(d_gate_up.data(), d_out.data(), n, f, nullptr);
                 cuda::swiglu_backward<T>(d_dout.data(), d_gate_up.data(), d_gate_up.data(), n, f,
                                          nullptr);
                 return {doubles(d_out.read()), doubles(d_gate_up.read())};
               });
}

template <class T>
void check_gelu(CheckReport& report, const RowSize& size, bool biased) {
  const std::int64_t n = size.n;
  const std::int64_t f = size.width;
  auto x = normals<T>(n * f, 1, 3.0);
  x.front() = to_stored<T>(std::numeric_limits<double>::quiet_NaN());
  if (n * f > 2) x[1] = to_stored<T>(1000.0);
  if (n * f > 2) x[2] = to_stored<T>(-1000.0);
  const auto bias = normals<T>(f, 2);
  const auto dout = normals<T>(n * f, 3);
  const double* no_bias = nullptr;
  std::vector<double> h = doubles(x), out(n * f), dx(n * f);
  if (biased) {
    for (std::int64_t i = 0; i < n * f; ++i) h[i] = rounded<T>(h[i] + to_double(bias[i % f]));
  }
  gelu_forward<double>(h.data(), no_bias, out.data(), n, f);
  gelu_backward<double>(doubles(dout).data(), h.data(), no_bias, dx.data(), n, f);
  report.check(title<T>(biased ? "gelu with bias" : "gelu", size),
               {{"out", out, tolerance<T>()}, {"dx", dx, tolerance<T>()}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_x(x), d_bias(bias, size.misaligned), d_dout(dout);
                 DeviceArray<T> d_out(poisoned<T>(n * f));
                 const T* const given = biased ? d_bias.data() : nullptr;
                 cuda::gelu_forward<T>(d_x.data(), given, d_out.data(), n, f, nullptr);
                 cuda::gelu_backward<T>(d_dout.data(), d_x.data(), given, d_dout.data(), n, f,
                                        nullptr);
                 return {doubles(d_out.read()), doubles(d_dout.read())};
               });
}

template <class T>
void check_bias(CheckReport& report, const RowSize& size) {
  using A = Accumulator<T>;
  const std::int64_t n = size.n;
  const std::int64_t f = size.width;
  const auto x = normals<T>(n * f, 1);
  const auto bias = normals<T>(f, 2);
  std::vector<T> sum = x;
  add_bias<T>(sum.data(), bias.data(), n, f);
  std::vector<double> dbias(f, 1.5);
  bias_gradient<double>(doubles(x).data(), dbias.data(), n, f);
  report.check(
      title<T>("bias", size), {{"sum", doubles(sum), 0}, {"dbias", dbias, 4 * tolerance<A>()}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_x(x), d_bias(bias, size.misaligned), d_dy(x, size.misaligned);
        DeviceArray<A> d_dbias(std::vector<A>(f, A{1.5}));
        auto workspace = device_workspace(cuda::bias_gradient_workspace<T>(n, f));
        cuda::add_bias<T>(d_x.data(), d_bias.data(), n, f, nullptr);
        cuda::bias_gradient<T>(d_dy.data(), d_dbias.data(), n, f, workspace.data(), nullptr);
        return {doubles(d_x.read()), doubles(d_dbias.read())};
      });
}

const std::vector<RowSize>& row_sizes() {
  static const std::vector<RowSize> sizes = {{1, 1},   {1, 64},         {3, 33},   {2, 100, true},
                                             {50, 40}, {20, 128, true}, {2, 4096}, {9, 1030}};
  return sizes;
}

}  // namespace

void check_norms(CheckReport& report) {
  std::vector<RowSize> sizes = row_sizes();
  sizes.push_back({2, 8208});  // Wider than what a block keeps in registers.
  sizes.push_back({2, 1101});
  sizes.push_back({259, 72});  // More rows than parts of the weights' gradients.
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    for (const RowSize& size : sizes) {
      for (const bool fused : {false, true}) {
        check_rms_norm<T>(report, size, fused);
        check_layer_norm<T>(report, size, fused);
      }
    }
  });
}

void check_activations(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    for (const RowSize& size : row_sizes()) {
      check_swiglu<T>(report, size);
      check_gelu<T>(report, size, false);
      check_gelu<T>(report, size, true);
    }
  });
}

void check_biases(CheckReport& report) {
  std::vector<RowSize> sizes = row_sizes();
  sizes.push_back({1000, 264});
  for_storage_types(report, [&](auto type) {
    for (const RowSize& size : sizes) check_bias<decltype(type)>(report, size);
  });
}

}  // namespace cloze
