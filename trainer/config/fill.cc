// From tree to message. Each key goes through the same steps whether a file or --set wrote it:
// known, of the right type, in range, supported.
#include "trainer/config/fill.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/keys.h"
#include "trainer/config/read_value.h"

namespace cloze {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::vector<std::string> names_of(const Descriptor& type) {
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(type.field_count()));
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return names;
}

// Whether a problem was told of the value or of a part of it when it was read.
bool is_unread(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kUnread || std::ranges::any_of(node.children, is_unread);
}

class Filler {
 public:
  Filler(const std::string& file, Draft& draft) : file_(file), draft_(draft) {}

  void fill(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::kMap) {
      if (is_unread(root)) return;
      report(root.line, root.column, "the config is no map of sections",
             "write sections such as model: and data: with their keys below");
      return;
    }
    for (const YamlNode& entry : root.children) fill_section(entry);
  }

 private:
  void fill_section(const YamlNode& node) {
    const Descriptor& run = *config::Run::descriptor();
    const FieldDescriptor* section = run.FindFieldByName(node.key);
    if (section == nullptr) {
      const auto close = nearest(node.key, names_of(run));
      if (close) excuse_section(*run.FindFieldByName(*close));
      report(node.key_line, node.key_column, str("unknown section '", node.key, "'"),
             unknown_fix(node.key, "", run));
    } else if (node.kind != YamlNode::Kind::kMap && is_unread(node)) {
      excuse_section(*section);
    } else if (node.kind != YamlNode::Kind::kMap) {
      const bool is_empty = node.kind == YamlNode::Kind::kNull;
      excuse_section(*section);
      report(is_empty ? node.key_line : node.line, is_empty ? node.key_column : node.column,
             str("the section '", node.key, "' is ", is_empty ? "empty" : "no map of keys"),
             is_empty ? "give it keys, or remove it" : "write its keys below it, indented");
    } else {
      if (file_ != kOverrideFile) {
        draft_.loaded.places[node.key] = {file_, node.key_line, node.key_column};
      }
      for (const YamlNode& entry : node.children) fill_key(entry, *section);
    }
  }

  void fill_key(const YamlNode& node, const FieldDescriptor& section) {
    const Descriptor& type = *section.message_type();
    const Key key{&section, type.FindFieldByName(node.key)};
    if (key.field == nullptr) {
      const auto close = nearest(node.key, names_of(type));
      if (close) excuse({&section, type.FindFieldByName(*close)});
      report(node.key_line, node.key_column,
             str("unknown key '", section.name(), ".", node.key, "'"),
             unknown_fix(node.key, section.name() + ".", type));
      return;
    }
    const std::string name = key.name();
    clear(draft_.loaded.run, key);
    draft_.broken.erase(name);
    // Recorded even when the value is wrong, so that rules do not call the key missing.
    draft_.loaded.places[name] = {file_, node.key_line, node.key_column};
    draft_.loaded.origin[name] = file_ == kOverrideFile
                                     ? kOverrideFile
                                     : str(file_, ":", node.key_line, ":", node.key_column);
    if (is_unread(node)) {
      draft_.broken.insert(name);
      return;
    }
    Message& message = mutable_section_of(draft_.loaded.run, key);
    std::vector<Problem> problems;
    read_value(node, name, *key.field, message, file_, problems);
    if (problems.empty()) return;
    clear(draft_.loaded.run, key);
    draft_.broken.insert(name);
    draft_.problems.insert(draft_.problems.end(), problems.begin(), problems.end());
  }

  // A key that was meant but mistyped: rules shall not call it missing as well.
  void excuse(const Key& key) {
    if (!is_set(draft_.loaded.run, key)) draft_.broken.insert(key.name());
  }
  void excuse_section(const FieldDescriptor& section) {
    for (int i = 0; i < section.message_type()->field_count(); ++i) {
      excuse({&section, section.message_type()->field(i)});
    }
  }

  // "did you mean model.hidden_size?", or where else the key stands, or all that is known.
  static std::string unknown_fix(const std::string& word, const std::string& prefix,
                                 const Descriptor& type) {
    const std::vector<std::string> names = names_of(type);
    if (const auto close = nearest(word, names)) return str("did you mean ", prefix, *close, "?");
    for (const Key& key : all_keys()) {
      if (key.field->name() == word) return str("did you mean ", key.name(), "?");
    }
    return str("known here: ", join(names));
  }

  void report(int line, int column, std::string what, std::string fix) {
    draft_.problems.push_back({file_, line, column, std::move(what), std::move(fix)});
  }

  const std::string& file_;
  Draft& draft_;
};

// The value of --set may hold neither a comment nor line ends: YAML would drop what follows.
bool is_whole(const YamlNode& node, const std::string& text) {
  if (text.find('\n') != std::string::npos) return false;
  if (node.kind != YamlNode::Kind::kScalar || node.quoted) {
    return text.find(" #") == std::string::npos || node.quoted;
  }
  const std::size_t begin = text.find_first_not_of(' ');
  const std::size_t end = text.find_last_not_of(" \r");
  return text.substr(begin, end - begin + 1) == node.text;
}

// Moves a value to where it stands in "path=value".
void shift(YamlNode& node, int number, int columns) {
  node.line = number;
  node.column += columns;
  node.key_line = number;
  node.key_column += columns;
  for (YamlNode& child : node.children) shift(child, number, columns);
}

}  // namespace

void fill_from_file(const std::string& text, const std::string& file, Draft& draft) {
  const std::size_t problems_before = draft.problems.size();
  const auto [root, is_whole] = parse_yaml(text, file, draft.problems);
  draft.is_whole = is_whole && root && root->kind == YamlNode::Kind::kMap;
  if (root && root->kind != YamlNode::Kind::kNull) {
    Filler(file, draft).fill(*root);
  } else if (draft.problems.size() == problems_before) {
    draft.problems.push_back(
        {file, 1, 1, "the config is empty", "copy configs/tiny.yaml and change it"});
  }
}

void fill_from_override(const std::string& text, int number, Draft& draft) {
  const std::string file = kOverrideFile;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    draft.problems.push_back(
        {file, number, 1, str("'", text, "' has no path=value"), "write --set optimizer.lr=1e-4"});
    return;
  }
  const std::string path = text.substr(0, equals);
  const std::string value = text.substr(equals + 1);
  std::vector<Problem> problems;
  auto node = parse_yaml(value, file, problems).root;
  for (Problem& problem : problems) {
    problem.line = number;
    problem.column += static_cast<int>(equals) + 1;
    draft.problems.push_back(problem);
  }
  if (!problems.empty()) return;
  if (node) shift(*node, number, static_cast<int>(equals) + 1);
  if (node && !is_whole(*node, value)) {
    draft.problems.push_back({file, number, static_cast<int>(equals) + 2,
                              str("the value of ", path, " has a comment or a line end"),
                              "put the value in double quotes"});
    return;
  }
  // The tree that a file with this one value has.
  YamlNode entry = node.value_or(YamlNode{});
  const std::size_t dot = path.find('.');
  if (path.find('.', dot == std::string::npos ? dot : dot + 1) != std::string::npos) {
    draft.problems.push_back({file, number, 1, str("'", path, "' goes into a value"),
                              "a list is replaced whole, such as --set data.train=[runs/a]"});
    return;
  }
  entry.key_line = number;
  YamlNode root{YamlNode::Kind::kMap, number, 1, "", false, "", 0, 0, {}};
  if (dot == std::string::npos) {
    entry.key = path;
    entry.key_column = 1;
    root.children.push_back(std::move(entry));
  } else {
    entry.key = path.substr(dot + 1);
    entry.key_column = static_cast<int>(dot) + 2;
    YamlNode section{YamlNode::Kind::kMap, number, 1, "", false,
                     path.substr(0, dot),  number, 1, {}};
    section.children.push_back(std::move(entry));
    root.children.push_back(std::move(section));
  }
  Filler(file, draft).fill(root);
}

}  // namespace cloze
