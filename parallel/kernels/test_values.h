// Inputs and tolerances of kernel tests, for test programs of any kind.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "parallel/base/random.h"
#include "parallel/kernels/accumulator.h"

namespace cloze {

template <class T>
double to_double(T value) {
  return static_cast<double>(static_cast<Accumulator<T>>(value));
}

template <class T>
T to_stored(double value) {
  return static_cast<T>(static_cast<Accumulator<T>>(value));
}

// What a store into T and a load back leave of a value.
template <class T>
double rounded(double value) {
  return to_double(to_stored<T>(value));
}

// Standard normal numbers times `scale`, rounded to T.
template <class T>
std::vector<T> normals(std::int64_t n, std::uint64_t seed, double scale = 1.0) {
  std::vector<T> values(n);
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = to_stored<T>(scale * random_normal({.seed = seed}, i));
  }
  return values;
}

template <class T>
std::vector<double> doubles(const std::vector<T>& values) {
  std::vector<double> result;
  result.reserve(values.size());
  for (const T value : values) result.push_back(to_double(value));
  return result;
}

// A NaN, so that an output that was not written shows.
template <class T>
std::vector<T> poisoned(std::int64_t n) {
  return std::vector<T>(n, to_stored<T>(std::numeric_limits<double>::quiet_NaN()));
}

// Of results that were computed from exact inputs with a short chain of roundings: double 1e-12;
// float 1e-5, about 80 ulp, for sums of up to a thousand terms; the 16-bit types two ulp.
template <class T>
double tolerance() {
  if (std::is_same_v<T, double>) return 1e-12;
  if (std::is_same_v<T, float>) return 1e-5;
  return std::is_same_v<T, BFloat16> ? 0x1p-6 : 0x1p-9;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Appends `more` to `all`, for outputs of several arrays.
template <class T>
void append(std::vector<T>& all, const std::vector<T>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace cloze
