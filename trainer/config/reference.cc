// Joins the schema's types, ranges and defaults with its comments. Generated code does not keep
// comments, so they are read from the schema's text.
#include "trainer/config/reference.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/config/keys.h"
#include "trainer/config/presets.h"

namespace cloze {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// Comments by the full name of a message, field or enum value. Reads the schema as clang-format
// lays it out: one declaration a line, or its first words on a line; comments above it or behind.
class Comments {
 public:
  explicit Comments(const std::string& schema_text) {
    std::istringstream lines(schema_text);
    std::string line;
    while (std::getline(lines, line)) read_line(line);
    CLOZE_REQUIRE(scopes_.empty() && !comments_.empty(), ExitCode::kBadInput,
                  "the schema's braces do not close", "give configs/schema/run.proto");
  }

  std::string of(const std::string& full_name) const {
    const auto found = comments_.find(full_name);
    return found == comments_.end() ? "" : found->second;
  }

 private:
  void read_line(std::string_view line) {
    const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
    line.remove_prefix(begin);
    if (line.empty()) {
      pending_.clear();
      return;
    }
    const std::size_t comment = std::min(line.find("//"), line.size());
    if (comment < line.size()) {
      std::string_view words = line.substr(comment + 2);
      words.remove_prefix(words.starts_with(' ') ? 1 : 0);
      pending_ += str(pending_.empty() ? "" : " ", words);
    }
    if (comment == 0) return;
    read_declaration(std::string(line.substr(0, comment)));
    pending_.clear();
  }

  void read_declaration(const std::string& code) {
    std::istringstream words(code);
    std::string first;
    std::string second;
    std::string third;
    words >> first >> second >> third;
    if (first == "message" || first == "enum") {
      scopes_.push_back(second);
      remember("");
    } else if (first == "}") {
      CLOZE_REQUIRE(!scopes_.empty(), ExitCode::kBadInput, "the schema has a } too many",
                    "give configs/schema/run.proto");
      scopes_.pop_back();
    } else if (first == "optional" || first == "repeated") {
      remember(third);
    } else if (second == "=") {
      remember(first);
    }
  }

  void remember(const std::string& name) {
    if (pending_.empty()) return;
    const std::string scope = "cloze.config." + join(scopes_, ".");
    comments_[name.empty() ? scope : scope + "." + name] = pending_;
  }

  std::map<std::string, std::string> comments_;
  std::vector<std::string> scopes_;
  std::string pending_;  // A comment that waits for its declaration.
};

std::string type_text(const FieldDescriptor& field) {
  const auto& options = field.options();
  switch (options.GetExtension(config::form)) {
    case config::number_or_auto:
      return "a whole number, or `auto`";
    case config::steps_or_share:
      return "steps, or a share such as `2%`";
    case config::numbers_or_auto:
      return "a list of whole numbers, or `auto`";
    case config::pair:
      return str("two numbers, ", range_text(field));
    case config::plain:
      break;
  }
  const std::string range = range_text(field);
  const std::string only = options.GetExtension(config::only);
  if (!only.empty()) return str("`", only, "` in this version");
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "text";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "`true` or `false`";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return str("number", range.empty() ? "" : ", ", range);
    case FieldDescriptor::CPPTYPE_ENUM:
      return str("`", join(spellings_of(*field.enum_type()), "`, `"), "`");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "list of `{path, weight}` or paths";
    default:
      return str(field.is_repeated() ? "list of whole numbers" : "whole number",
                 range.empty() ? "" : ", ", range);
  }
}

std::string default_text(const Key& key) {
  if (key.field->options().GetExtension(config::required)) return "required";
  if (key.field->name() == "betas") return "`[0.9, 0.95]`";
  if (!key.field->is_repeated() && !key.field->has_default_value()) return "";
  return str("`", value_text(config::Run(), key), "`");
}

std::string resume_text(const Key& key) {
  if (key.name() == "run.steps") return "see there";
  switch (key.field->options().GetExtension(config::resume)) {
    case config::harmless:
      return "free";
    case config::forbidden:
      return "never";
    case config::run_changing:
      break;
  }
  return "`--allow-change`";
}

std::string key_row(const Key& key, const Comments& comments) {
  return str("| `", key.field->name(), "` | ", type_text(*key.field), " | ", default_text(key),
             " | ", resume_text(key), " | ", comments.of(key.field->full_name()), " |\n");
}

std::string choices_of(const FieldDescriptor& field, const Comments& comments) {
  const EnumDescriptor& type = *field.enum_type();
  std::string text = str("\n`", field.name(), "`:\n\n");
  for (int i = 0; i < type.value_count(); ++i) {
    // A value's scope is its enum's parent; its comment is kept under the enum.
    const std::string comment = comments.of(type.full_name() + "." + type.value(i)->name());
    text += str("- `", spelling_of(*type.value(i)), "`: ", comment, "\n");
  }
  return text;
}

std::string section_text(const FieldDescriptor& section, const Comments& comments) {
  const Descriptor& type = *section.message_type();
  std::string text =
      str("\n## `", section.name(), "`\n\n", comments.of(type.full_name()), "\n\n",
          "| key | value | default | on resume | meaning |\n", "| --- | --- | --- | --- | --- |\n");
  std::string choices;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    text += key_row({&section, &field}, comments);
    if (field.enum_type() != nullptr) choices += choices_of(field, comments);
    if (field.message_type() == nullptr) continue;
    if (i > 0 && type.field(i - 1)->message_type() == field.message_type()) continue;
    choices += str("\nA source: ", comments.of(field.message_type()->full_name()), "\n\n");
    for (int j = 0; j < field.message_type()->field_count(); ++j) {
      const FieldDescriptor& part = *field.message_type()->field(j);
      choices += str("- `", part.name(), "`: ", comments.of(part.full_name()), "\n");
    }
  }
  return text + choices;
}

}  // namespace

std::string config_reference(const std::string& schema_text) {
  const Comments comments(schema_text);
  std::string text = str(
      "# Config reference\n\n"
      "Made from `configs/schema/run.proto` by `cloze config document`; change it there.\n\n"
      "A config is a YAML file of sections. `--set section.key=value` on the command line goes "
      "through the same checks and wins; the later one of two wins; lists are replaced whole. "
      "`cloze config check FILE` lists all problems of a file, `cloze config show FILE` prints "
      "every value with its origin.\n\n"
      "Numbers are decimal, texts that could be read as a number or a truth value stand in "
      "quotes, and anchors, aliases, tags and several documents are not accepted. A key that "
      "another key disables (`min_lr` with `kind: constant`) is an error in the same source and "
      "a notice when a `--set` disables a key of the file; a key that only an axis of size 1 "
      "makes idle is always allowed.\n\n"
      "*On resume* says whether a resumed run may differ from its checkpoint in the key: freely, "
      "with `--allow-change KEY`, or never.\n\n"
      "Presets of `model.preset`: `",
      join(preset_names(), "`, `"), "`.\n");
  const Descriptor& run = *config::Run::descriptor();
  for (int i = 0; i < run.field_count(); ++i) text += section_text(*run.field(i), comments);
  return text;
}

}  // namespace cloze
