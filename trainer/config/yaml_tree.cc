// Builds the tree from yaml-cpp's events. The events come while yaml-cpp reads, so throwing at
// the seventeenth level stops it before it recurses deep; its own tree of nodes would follow
// aliases and keep doubled keys silently.
#include "trainer/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/config/yaml_bytes.h"

namespace cloze {
namespace {

constexpr const char* kShallow = "a config has sections, keys and lists: three or four levels";

// Leaves yaml-cpp: the text cannot be read further.
struct Unreadable {
  Problem problem;
};

// Whether the quote that `text` begins with is closed before the line ends; yaml-cpp also accepts
// the end of the file.
bool is_closed(std::string_view text) {
  const char quote = text[0];
  for (std::size_t index = 1; index < text.size() && text[index] != '\n'; ++index) {
    const bool is_escape = quote == '"' && text[index] == '\\';
    const bool is_pair = quote == '\'' && text.substr(index).starts_with("''");
    if (is_escape || is_pair) {
      ++index;
    } else if (text[index] == quote) {
      return true;
    }
  }
  return false;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, const std::string& file, std::vector<Problem>& problems)
      : text_(text), positions_(text), file_(file), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      stop(mark, "a second document begins here", "keep one document, without a second ---");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_extras(mark, "?", anchor);
    finish(node_at(mark, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    stop(mark, "an alias (*name)", "write the value out; aliases are not accepted");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_extras(mark, tag == "!" ? "?" : tag, anchor);
    YamlNode node = node_at(mark, YamlNode::Kind::kScalar);
    const std::string_view rest = text_.substr(byte_of(mark));
    if (rest.starts_with('|') || rest.starts_with('>')) {
      stop(mark, "a block scalar (| or >)", "write the text on one line");
    }
    node.quoted = rest.starts_with('"') || rest.starts_with('\'');
    if (node.quoted && !is_closed(rest)) {
      stop(mark, "a quote that is not closed on its line",
           "close it, and write the text on one line");
    }
    if (!node.quoted && !rest.starts_with(value)) {
      stop(mark, "a value that goes over several lines",
           "write it on one line; is a bracket missing, or the next line indented too much?");
    }
    node.text = value;
    finish(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    begin(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { end(); }

  std::optional<YamlNode> take_root() { return std::move(root_); }

 private:
  // A map or list being read. In a map a scalar is a key until the value has come.
  struct Open {
    YamlNode node;
    std::optional<YamlNode> key;
  };

  std::size_t byte_of(const YAML::Mark& mark) const {
    return std::min(static_cast<std::size_t>(std::max(mark.pos, 0)), text_.size());
  }
  [[noreturn]] void stop(const YAML::Mark& mark, std::string what, std::string fix) const {
    const TextPosition at = positions_.at(byte_of(mark));
    throw Unreadable{Problem{file_, at.line, at.column, std::move(what), std::move(fix)}};
  }
  YamlNode node_at(const YAML::Mark& mark, YamlNode::Kind kind) {
    if (++nodes_ > kMostNodes) {
      stop(mark, str("more than ", kMostNodes, " values"), "is this the right file?");
    }
    const TextPosition at = positions_.at(byte_of(mark));
    YamlNode node;
    node.kind = kind;
    node.line = at.line;
    node.column = at.column;
    return node;
  }
  void refuse_extras(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    const std::size_t byte = byte_of(mark);
    const char first = byte < text_.size() ? text_[byte] : '\0';
    if ((!tag.empty() && tag != "?") || first == '!') {
      stop(mark, "a tag (!name)", "remove it; tags are not accepted");
    }
    if (anchor != 0 || first == '&') {
      stop(mark, "an anchor (&name)", "remove it; anchors are not accepted");
    }
  }
  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Kind kind) {
    refuse_extras(mark, tag, anchor);
    if (static_cast<int>(open_.size()) == kDeepestConfig) {
      stop(mark, str("nested deeper than ", kDeepestConfig, " levels"), kShallow);
    }
    if (!open_.empty() && open_.back().node.kind == YamlNode::Kind::kMap && !open_.back().key) {
      stop(mark, "a map or list as a key, or a bracket that is not closed",
           "a key is a name; close every bracket");
    }
    open_.push_back({node_at(mark, kind), std::nullopt});
  }
  void end() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    finish(std::move(node));
  }

  // A whole value: the root, an item, a key, or the value of a key.
  void finish(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.children.push_back(std::move(node));
    } else if (!parent.key) {
      if (node.kind != YamlNode::Kind::kScalar) {
        report(node.line, node.column, "an empty key", "write key: value");
      }
      parent.key = std::move(node);
    } else {
      add_entry(parent, std::move(node));
    }
  }
  void add_entry(Open& parent, YamlNode value) {
    const YamlNode key = std::move(*parent.key);
    parent.key.reset();
    value.key = key.text;
    value.key_line = key.line;
    value.key_column = key.column;
    if (key.kind != YamlNode::Kind::kScalar) return;
    const auto& entries = parent.node.children;
    const auto same = std::find_if(entries.begin(), entries.end(),
                                   [&](const YamlNode& entry) { return entry.key == key.text; });
    if (key.text == "<<" && !key.quoted) {
      report(key.line, key.column, "a merge key (<<)", "write the keys out");
    } else if (same != entries.end()) {
      report(key.line, key.column,
             str("the key '", key.text, "' is written twice; first at line ", same->key_line,
                 ", column ", same->key_column),
             "keep one of the two");
    } else {
      parent.node.children.push_back(std::move(value));
    }
  }
  void report(int line, int column, std::string what, std::string fix) {
    problems_.push_back({file_, line, column, std::move(what), std::move(fix)});
    if (problems_.size() >= kMostProblems) {
      throw Unreadable{Problem{file_, line, column, "too many problems; the rest is not read",
                               "is this the right file?"}};
    }
  }

  // A config has about a hundred.
  static constexpr int kMostNodes = 2000;
  static constexpr std::size_t kMostProblems = 100;

  std::string_view text_;
  const TextPositions positions_;
  const std::string& file_;
  std::vector<Problem>& problems_;
  std::vector<Open> open_;
  std::optional<YamlNode> root_;
  int documents_ = 0;
  int nodes_ = 0;
};

// Where brackets are nested so deep that yaml-cpp shall not see them: it reads on to the last of
// them before it tells of the first, and a megabyte of them would cost it a second and 250 MB.
// Brackets in quotes and comments count here, too, so the limit is far above kDeepestConfig.
std::optional<std::size_t> find_deep_brackets(std::string_view text) {
  constexpr int kMostOpen = 1000;
  int open = 0;
  std::size_t too_deep = 0;  // The bracket that is one level too deep, below the first map.
  for (std::size_t index = 0; index < text.size(); ++index) {
    const char letter = text[index];
    if (letter == '[' || letter == '{') {
      if (++open == kDeepestConfig) too_deep = index;
      if (open > kMostOpen) return too_deep;
    } else if ((letter == ']' || letter == '}') && open > 0) {
      --open;
    }
  }
  return std::nullopt;
}

// yaml-cpp's message for the user, with a fix.
Problem problem_of(const YAML::Exception& error, std::string_view text, const std::string& file) {
  const TextPosition at =
      error.mark.is_null()
          ? TextPosition{}
          : TextPositions(text).at(static_cast<std::size_t>(std::max(error.mark.pos, 0)));
  Problem problem{file, at.line, at.column, str("not YAML: ", error.msg),
                  "check brackets, quotes, colons and the indentation around here"};
  if (error.msg.find("anchor is not defined") != std::string::npos) {
    problem.what = "an alias (*name)";
    problem.fix = "write the value out; aliases are not accepted";
  } else if (error.msg.starts_with("end of") && error.msg.find("flow") != std::string::npos) {
    problem.what = "a bracket is not closed before here";
    problem.fix = "close every [ and {";
  } else if (error.msg == "illegal map value") {
    problem.what = "a colon where no key can stand";
    problem.fix = "put the value in quotes when the colon belongs to it";
  }
  return problem;
}

}  // namespace

std::optional<YamlNode> parse_yaml(std::string_view text, const std::string& file,
                                   std::vector<Problem>& problems) {
  if (auto problem = check_yaml_bytes(text, file, kLargestConfigBytes)) {
    problems.push_back(std::move(*problem));
    return std::nullopt;
  }
  if (const auto byte = find_deep_brackets(text)) {
    const TextPosition at = TextPositions(text).at(*byte);
    problems.push_back({file, at.line, at.column,
                        str("nested deeper than ", kDeepestConfig, " levels"), kShallow});
    return std::nullopt;
  }
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(text, file, problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Unreadable& unreadable) {
    problems.push_back(unreadable.problem);
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    problems.push_back(problem_of(error, text, file));
    return std::nullopt;
  }
  return builder.take_root();
}

}  // namespace cloze
