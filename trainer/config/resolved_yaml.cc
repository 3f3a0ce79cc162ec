// Writes a Run as YAML.
#include "trainer/config/resolved_yaml.h"

#include <algorithm>

#include "parallel/base/check.h"
#include "trainer/config/keys.h"
#include "trainer/config/yaml_bytes.h"

namespace cloze {
namespace {

// The name of a file may hold anything; a comment ends with its line.
std::string comment_of(const std::string& origin) {
  std::string text;
  for (std::size_t at = 0; at < origin.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(origin, at));
    const std::string character = origin.substr(at, length);
    text += is_plain_line(character) ? character : "?";
    at += length;
  }
  return "# " + text;
}

}  // namespace

std::string resolved_yaml(const config::Run& run) { return resolved_yaml(run, {}); }

std::string resolved_yaml(const config::Run& run,
                          const std::map<std::string, std::string>& origin) {
  constexpr std::size_t kCommentColumn = 44;
  std::string text;
  const google::protobuf::FieldDescriptor* section = nullptr;
  for (const Key& key : all_keys()) {
    // A list without items has a text of its own ([] or auto); other unset keys have no effect.
    if (!is_set(run, key) && !key.field->is_repeated()) continue;
    if (key.section != section) {
      section = key.section;
      text += str(text.empty() ? "" : "\n", section->name(), ":\n");
    }
    std::string line = str("  ", key.field->name(), ": ", value_text(run, key));
    const auto found = origin.find(key.name());
    if (found != origin.end()) {
      line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
      line += comment_of(found->second);
    }
    text += line + "\n";
  }
  return text;
}

std::string model_yaml(const config::Model& model) {
  config::Run run;
  *run.mutable_model() = model;
  std::string text = "model:\n";
  for (const Key& key : all_keys()) {
    if (!is_set(run, key)) continue;
    text += str("  ", key.field->name(), ": ", value_text(run, key), "\n");
  }
  return text;
}

}  // namespace cloze
