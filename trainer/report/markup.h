// Text that becomes part of a page. Whatever a run's files hold stays text there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// For HTML, between tags and in quoted attributes. Bytes that are no UTF-8 and control characters
// but newline and tab become U+FFFD; what is longer than `limit` bytes ends in an ellipsis.
std::string escaped(std::string_view text, std::size_t limit = 400);

// A JSON string with its quotes, safe inside of a script element.
std::string json_text(std::string_view text);

// A coordinate of a drawing: one decimal.
std::string coordinate(double value);

// A number in JSON, with that many significant digits; null where it is not finite.
std::string json_number(double value, int digits = 6);

// An array of such numbers.
std::string json_array(const std::vector<double>& values, int digits);

// 1234567 as "1,234,567".
std::string grouped(std::int64_t value);

// "1 h 02 min", "3 min 20 s", "12 s".
std::string duration(double seconds);

}  // namespace cloze
