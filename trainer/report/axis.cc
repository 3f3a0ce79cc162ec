#include "trainer/report/axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// Numbers are written as value / scale and a suffix.
struct Prefix {
  double scale = 1;
  std::string suffix;
};

Prefix number_prefix(double size) {
  if (size >= 1e15 || (size > 0 && size < 1e-3)) {
    const double exponent = std::floor(std::log10(size) + 1e-12);
    return {std::pow(10, exponent), str("e", static_cast<int>(exponent))};
  }
  if (size >= 1e9) return {1e9, "G"};
  if (size >= 1e6) return {1e6, "M"};
  if (size >= 1e4) return {1e3, "k"};
  return {};
}

Prefix byte_prefix(double size) {
  if (size >= 1e12) return {1e12, " TB"};
  if (size >= 1e9) return {1e9, " GB"};
  if (size >= 1e6) return {1e6, " MB"};
  if (size >= 1e3) return {1e3, " kB"};
  return {1, " B"};
}

Prefix second_prefix(double size) {
  if (size > 0 && size < 1e-3) return {1e-6, " µs"};
  if (size > 0 && size < 1) return {1e-3, " ms"};
  return {1, " s"};
}

// The prefix that suits numbers of up to `size`.
Prefix prefix_of(double size, Unit unit) {
  switch (unit) {
    case Unit::kNumber:
      return number_prefix(size);
    case Unit::kBytes:
      return byte_prefix(size);
    case Unit::kShare:
      return {0.01, " %"};
    case Unit::kSeconds:
      return second_prefix(size);
  }
  return {};
}

std::string fixed(double value, int decimals) {
  std::array<char, 400> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

// `step` is the distance of ticks, `largest` the size of the largest: all are written alike.
std::string tick_label(double value, double step, double largest, Unit unit) {
  if (value == 0) return "0";
  const Prefix prefix = prefix_of(largest, unit);
  const double digits = std::ceil(-std::log10(step / prefix.scale) - 1e-9);
  return fixed(value / prefix.scale, static_cast<int>(std::clamp(digits, 0.0, 12.0))) +
         prefix.suffix;
}

// The least of 1, 2 and 5 times a power of ten that is not below `least`.
double nice_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

double ChartAxis::place(double value) const {
  if (logarithmic) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

ChartAxis linear_axis(double low, double high, int wanted, Unit unit, bool whole_ticks) {
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= size * 1e-9) {
    const double margin = size > 0 ? size * 0.05 : 1;
    low -= margin;
    high += margin;
  }
  const double step = nice_step((high - low) / wanted);
  double first = std::ceil(low / step - 1e-9);
  double last = std::floor(high / step + 1e-9);
  if (whole_ticks) {
    first = std::floor(low / step + 1e-9);
    last = std::ceil(high / step - 1e-9);
    low = first * step;
    high = last * step;
  }
  ChartAxis axis{.low = low, .high = high};
  const double largest = std::max(std::abs(first), std::abs(last)) * step;
  const int count = static_cast<int>(last - first) + 1;
  for (int i = 0; i < count; ++i) {
    const double tick = (first + i) * step;
    axis.ticks.push_back(tick);
    axis.labels.push_back(tick_label(tick, step, largest, unit));
  }
  return axis;
}

ChartAxis log_axis(double low, double high, int wanted, Unit unit) {
  CLOZE_CHECK(low > 0 && low <= high, str("a logarithmic axis from ", low, " to ", high),
              "give positive numbers");
  if (high <= low * (1 + 1e-9)) {
    low /= 1.1;
    high *= 1.1;
  }
  ChartAxis axis{.low = low, .high = high, .logarithmic = true};
  const double decades = std::log10(high / low);
  if (decades < 1) {
    // Less than a decade: 1, 2 and 5 would leave one tick or none.
    ChartAxis line = linear_axis(low, high, wanted, unit, /*whole_ticks=*/false);
    axis.ticks = std::move(line.ticks);
    axis.labels = std::move(line.labels);
    return axis;
  }
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const bool shown = factor == 1.0 ? exponent % stride == 0 : 3 * decades <= wanted + 2;
      const double value = factor * std::pow(10, exponent);
      if (!shown || value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
      axis.ticks.push_back(value);
      axis.labels.push_back(tick_label(value, value, value, unit));
    }
  }
  return axis;
}

std::string value_text(double value, Unit unit, int digits) {
  if (!std::isfinite(value)) return "not finite";
  if (value == 0) return "0";
  const Prefix prefix = prefix_of(std::abs(value), unit);
  const double scaled = value / prefix.scale;
  const int before = static_cast<int>(std::floor(std::log10(std::abs(scaled)))) + 1;
  std::string text = fixed(scaled, std::clamp(digits - before, 0, 12));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text + prefix.suffix;
}

}  // namespace cloze
