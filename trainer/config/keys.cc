// Walks the schema by protobuf's reflection, so that a key is written in run.proto alone.
#include "trainer/config/keys.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/scalar.h"

namespace cloze {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// The text of a single field, or of item `index` of a repeated one.
std::string item_text(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(repeated ? reflection.GetRepeatedInt64(message, &field, index)
                                     : reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection.GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return shortest(repeated ? reflection.GetRepeatedDouble(message, &field, index)
                               : reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return spelling_of(*reflection.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text = reflection.GetString(message, &field);
      return field.options().GetExtension(config::form) == config::plain ? quoted(text) : text;
    }
    default:
      break;
  }
  CLOZE_CHECK(false, str("a field type without a text: ", field.full_name()),
              "add it to item_text");
  return "";
}

std::string source_text(const config::Source& source) {
  return str("{path: ", quoted(source.path()), ", weight: ", shortest(source.weight()), "}");
}

// Edits (one character put in, left out, changed, or two neighbours swapped) between two words.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = std::move(last);
    last = std::move(row);
  }
  return last[b.size()];
}

}  // namespace

std::vector<Key> all_keys() {
  std::vector<Key> keys;
  const auto& run = *config::Run::descriptor();
  for (int i = 0; i < run.field_count(); ++i) {
    const FieldDescriptor* section = run.field(i);
    for (int j = 0; j < section->message_type()->field_count(); ++j) {
      keys.push_back({section, section->message_type()->field(j)});
    }
  }
  return keys;
}

std::optional<Key> find_key(std::string_view dotted) {
  const std::size_t dot = dotted.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  Key key;
  key.section = config::Run::descriptor()->FindFieldByName(std::string(dotted.substr(0, dot)));
  if (key.section == nullptr) return std::nullopt;
  key.field = key.section->message_type()->FindFieldByName(std::string(dotted.substr(dot + 1)));
  if (key.field == nullptr) return std::nullopt;
  return key;
}

const Message& section_of(const config::Run& run, const Key& key) {
  return run.GetReflection()->GetMessage(run, key.section);
}

Message& mutable_section_of(config::Run& run, const Key& key) {
  return *run.GetReflection()->MutableMessage(&run, key.section);
}

bool is_set(const config::Run& run, const Key& key) {
  const Message& section = section_of(run, key);
  const Reflection& reflection = *section.GetReflection();
  return key.field->is_repeated() ? reflection.FieldSize(section, key.field) > 0
                                  : reflection.HasField(section, key.field);
}

void clear(config::Run& run, const Key& key) {
  Message& section = mutable_section_of(run, key);
  section.GetReflection()->ClearField(&section, key.field);
}

std::string value_text(const config::Run& run, const Key& key) {
  const Message& section = section_of(run, key);
  const Reflection& reflection = *section.GetReflection();
  const FieldDescriptor& field = *key.field;
  if (!field.is_repeated()) return item_text(section, field, 0);
  const int size = reflection.FieldSize(section, &field);
  if (size == 0 && field.options().GetExtension(config::form) == config::numbers_or_auto) {
    return "auto";
  }
  std::vector<std::string> items;
  items.reserve(static_cast<std::size_t>(size));
  for (int i = 0; i < size; ++i) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Message& item = reflection.GetRepeatedMessage(section, &field, i);
      items.push_back(source_text(static_cast<const config::Source&>(item)));
    } else {
      items.push_back(item_text(section, field, i));
    }
  }
  return str("[", join(items), "]");
}

std::string spelling_of(const EnumValueDescriptor& value) {
  const std::string spelling = value.options().GetExtension(config::spelling);
  return spelling.empty() ? value.name() : spelling;
}

std::vector<std::string> spellings_of(const EnumDescriptor& type) {
  std::vector<std::string> spellings;
  spellings.reserve(static_cast<std::size_t>(type.value_count()));
  for (int i = 0; i < type.value_count(); ++i) spellings.push_back(spelling_of(*type.value(i)));
  return spellings;
}

std::string range_text(const FieldDescriptor& field) {
  const auto& options = field.options();
  const auto number = [](double value) {
    const bool is_whole = value == std::floor(value) && std::abs(value) < 1e15;
    return is_whole ? std::to_string(static_cast<std::int64_t>(value)) : shortest(value);
  };
  const bool has_maximum = options.HasExtension(config::maximum);
  if (options.HasExtension(config::minimum) && has_maximum) {
    return str("from ", number(options.GetExtension(config::minimum)), " to ",
               number(options.GetExtension(config::maximum)));
  }
  std::vector<std::string> parts;
  if (options.HasExtension(config::minimum)) {
    parts.push_back(str("at least ", number(options.GetExtension(config::minimum))));
  }
  if (options.HasExtension(config::above)) {
    parts.push_back(str("greater than ", number(options.GetExtension(config::above))));
  }
  if (has_maximum) {
    parts.push_back(str("at most ", number(options.GetExtension(config::maximum))));
  }
  if (options.HasExtension(config::below)) {
    parts.push_back(str("less than ", number(options.GetExtension(config::below))));
  }
  return join(parts, " and ");
}

bool is_in_range(const FieldDescriptor& field, double value) {
  const auto& options = field.options();
  return (!options.HasExtension(config::minimum) ||
          value >= options.GetExtension(config::minimum)) &&
         (!options.HasExtension(config::maximum) ||
          value <= options.GetExtension(config::maximum)) &&
         (!options.HasExtension(config::above) || value > options.GetExtension(config::above)) &&
         (!options.HasExtension(config::below) || value < options.GetExtension(config::below));
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestWord = 64;  // Longer ones are no typing errors.
  if (word.size() > kLongestWord) return std::nullopt;
  std::size_t best = std::numeric_limits<std::size_t>::max();
  std::optional<std::string> choice;
  for (const std::string& candidate : candidates) {
    std::size_t distance = edit_distance(word, candidate);
    // A part of a name counts as close, its beginning most: hidden for hidden_size.
    if (word.size() >= 3 && candidate.find(word) != std::string::npos) {
      distance = candidate.starts_with(word) ? 0 : 1;
    }
    if (distance < best) {
      best = distance;
      choice = candidate;
    }
  }
  return best <= std::max<std::size_t>(1, word.size() / 3) ? choice : std::nullopt;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') result += '\\';
    result += character;
  }
  return result + "\"";
}

}  // namespace cloze
