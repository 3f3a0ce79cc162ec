// Strict scalars. YAML 1.1, YAML 1.2 and yaml-cpp read `010`, `1_000`, `0x1` and `no` in
// different ways; here they are errors.
#include "trainer/config/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "parallel/base/check.h"

namespace cloze {
namespace {

bool is_digit(char character) { return character >= '0' && character <= '9'; }

// The length of the digits that `text` begins with.
std::size_t count_digits(std::string_view text) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) -
                                  text.begin());
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                                : character;
  });
  return result;
}

// Faults that whole numbers and decimal fractions share; `text` has no sign.
std::optional<ScalarFault> check_number(std::string_view text, std::string_view noun) {
  const std::string all(text);
  if (text.empty()) return ScalarFault{str("no ", noun), "write a decimal number"};
  if (text.size() > 1 && text[0] == '0' && is_digit(text[1])) {
    return ScalarFault{str("'", all, "' begins with a zero; some readers take it as octal"),
                       "write it without the leading zero"};
  }
  if (text.size() > 1 && text[0] == '0' && (lower(text)[1] == 'x' || lower(text)[1] == 'o')) {
    return ScalarFault{str("'", all, "' is not decimal"), "write a decimal number"};
  }
  if (text.find('_') != std::string_view::npos && is_digit(text[0])) {
    return ScalarFault{str("'", all, "' has an underscore"), "write the digits alone"};
  }
  return std::nullopt;
}

template <typename Integer>
Scalar<Integer> parse_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = negative ? text.substr(1) : text;
  if (auto fault = check_number(digits, "whole number")) return *fault;
  if (count_digits(digits) != digits.size()) {
    ScalarFault fault{str("'", text, "' is not a whole number"), "write digits alone, such as 8"};
    const auto as_double = parse_double(text);
    const double* value = std::get_if<double>(&as_double);
    if (value != nullptr && *value == std::floor(*value) && std::abs(*value) < 1e15) {
      fault.fix = str("write ", static_cast<std::int64_t>(*value));
    }
    return fault;
  }
  if (negative && std::is_unsigned_v<Integer>) {
    return ScalarFault{str(text, " is negative"), "write a number from 0 on"};
  }
  Integer value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) {
    return ScalarFault{str(text, " does not fit in 64 bits"), "write a smaller number"};
  }
  return value;
}

// [digits] of -?(0|[1-9]digits)(.digits)?([eE][+-]?digits)?
bool is_decimal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::size_t whole = count_digits(text);
  if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
  text.remove_prefix(whole);
  if (text.starts_with('.')) {
    const std::size_t fraction = count_digits(text.substr(1));
    if (fraction == 0) return false;
    text.remove_prefix(1 + fraction);
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    const std::size_t exponent = count_digits(text);
    if (exponent == 0) return false;
    text.remove_prefix(exponent);
  }
  return text.empty();
}

// Words that YAML 1.1 or 1.2 reads as a truth value or as nothing.
constexpr std::array kReservedWords = {"yes",   "no",    "on",   "off", "true", "false",
                                       "y",     "n",     "~",    "",    "null", ".inf",
                                       "-.inf", "+.inf", ".nan", "nan", "inf"};

}  // namespace

Scalar<std::int64_t> parse_int64(std::string_view text) {
  return parse_integer<std::int64_t>(text);
}

Scalar<std::uint64_t> parse_uint64(std::string_view text) {
  return parse_integer<std::uint64_t>(text);
}

Scalar<double> parse_double(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (auto fault = check_number(digits, "number")) return *fault;
  const std::string word = lower(digits.starts_with('+') ? digits.substr(1) : digits);
  if (word == ".inf" || word == "inf" || word == ".nan" || word == "nan") {
    return ScalarFault{str("'", text, "' is not a finite number"), "write a decimal number"};
  }
  if (digits.size() > 1 && digits[0] == '.' && is_decimal(str("0", digits))) {
    return ScalarFault{str("'", text, "' has no digit before the point"),
                       str("write ", text.starts_with('-') ? "-" : "", "0", digits)};
  }
  if (!is_decimal(text)) {
    return ScalarFault{str("'", text, "' is not a number"),
                       "write a decimal number, such as 0.1 or 3e-4"};
  }
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || !std::isfinite(value)) {
    return ScalarFault{str(text, " does not fit in a double"),
                       "write a number between 1e-307 and 1e308"};
  }
  return value;
}

Scalar<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  const std::string word = lower(text);
  ScalarFault fault{str("'", text, "' is not a truth value"), "write true or false"};
  if (word == "yes" || word == "on" || word == "y" || word == "true" || word == "1") {
    fault.fix = "did you mean true?";
  } else if (word == "no" || word == "off" || word == "n" || word == "false" || word == "0") {
    fault.fix = "did you mean false?";
  }
  return fault;
}

std::optional<ScalarFault> check_plain_text(std::string_view text) {
  const std::string word = lower(text);
  if (std::find(kReservedWords.begin(), kReservedWords.end(), word) != kReservedWords.end()) {
    return ScalarFault{str("'", text,
                           "' is not surely a text; some readers take it as a truth "
                           "value or as nothing"),
                       str("write \"", text, "\"")};
  }
  const std::size_t sign = word.starts_with('-') || word.starts_with('+') ? 1 : 0;
  const std::size_t point = word.substr(sign).starts_with('.') ? 1 : 0;
  const bool begins_as_number = count_digits(word.substr(sign + point)) > 0;
  const bool is_hex = word.substr(sign).starts_with("0x");
  if (begins_as_number &&
      (is_hex || word.find_first_not_of("0123456789+-._:e") == std::string::npos)) {
    return ScalarFault{str("'", text, "' reads as a number or a date; a text is needed"),
                       str("write \"", text, "\"")};
  }
  return std::nullopt;
}

std::string shortest(double value) {
  std::array<char, 64> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), result.ptr);
  const std::size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) {
    text.insert(exponent, ".0");
  }
  return text;
}

}  // namespace cloze
