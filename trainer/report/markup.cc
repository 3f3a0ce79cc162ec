#include "trainer/report/markup.h"

#include <simdjson.h>

#include <array>
#include <cmath>
#include <cstdio>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD.

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The front of `text` that fits `limit` bytes and ends between characters.
std::string_view front_of(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  while (end > 0 && end + 3 > limit && is_continuation(text[end])) --end;
  return text.substr(0, end);
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

}  // namespace

std::string escaped(std::string_view text, std::size_t limit) {
  const std::string_view front = front_of(text, limit);
  const bool valid = simdjson::validate_utf8(front.data(), front.size());
  std::string result;
  result.reserve(front.size() + 16);
  for (const char c : front) {
    const std::string_view entity = entity_of(c);
    if (!entity.empty()) {
      result += entity;
    } else if (is_control(c) || (!valid && static_cast<unsigned char>(c) >= 0x80)) {
      result += kReplacement;
    } else {
      result += c;
    }
  }
  if (front.size() < text.size()) result += "…";
  return result;
}

std::string json_text(std::string_view text) {
  const bool valid = simdjson::validate_utf8(text.data(), text.size());
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == '\'' ||
        byte == 0x7f) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\u%04x", byte);
      result += code.data();
    } else if (!valid && byte >= 0x80) {
      result += kReplacement;
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string coordinate(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", std::floor(value * 10 + 0.5) / 10);
  return text.data();
}

std::string json_number(double value, int digits) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*g", digits, value);
  return text.data();
}

std::string json_array(const std::vector<double>& values, int digits) {
  std::string json = "[";
  for (const double value : values) {
    if (json.size() > 1) json += ",";
    json += json_number(value, digits);
  }
  return json + "]";
}

std::string grouped(std::int64_t value) {
  const std::string digits = std::to_string(value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool behind_digit = i > 0 && digits[i - 1] != '-';
    if (behind_digit && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  std::array<char, 64> text{};
  const auto number = [](std::int64_t value) { return static_cast<long long>(value); };
  if (whole < 60) {
    std::snprintf(text.data(), text.size(), "%lld s", number(whole));
  } else if (whole < 3600) {
    std::snprintf(text.data(), text.size(), "%lld min %02lld s", number(whole / 60),
                  number(whole % 60));
  } else if (whole < 86400) {
    std::snprintf(text.data(), text.size(), "%lld h %02lld min", number(whole / 3600),
                  number(whole / 60 % 60));
  } else {
    std::snprintf(text.data(), text.size(), "%lld d %02lld h", number(whole / 86400),
                  number(whole / 3600 % 24));
  }
  return text.data();
}

}  // namespace cloze
