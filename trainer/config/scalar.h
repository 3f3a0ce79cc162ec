// Numbers, truth values and text as a config writes them: decimal only, nothing that two YAML
// readers understand differently.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace cloze {

// Why a scalar is no value of its key, and what to write instead.
struct ScalarFault {
  std::string what;
  std::string fix;
};

template <typename Value>
using Scalar = std::variant<Value, ScalarFault>;

// Whole numbers.
Scalar<std::int64_t> parse_int64(std::string_view text);
Scalar<std::uint64_t> parse_uint64(std::string_view text);
// Finite; digits on both sides of the point.
Scalar<double> parse_double(std::string_view text);
Scalar<bool> parse_bool(std::string_view text);

// Why a text without quotes is not surely a text (`no`, `12`, `1e3`, `~`); nothing when it is.
std::optional<ScalarFault> check_plain_text(std::string_view text);

// The shortest decimal text that reads back to the same bits; with an exponent also a point, for
// readers of YAML 1.1 take 1e-05 as a text.
std::string shortest(double value);

}  // namespace cloze
