// Builds the tree from yaml-cpp's events. The events come while yaml-cpp reads, so throwing at
// the seventeenth level stops it before it recurses deep; its own tree of nodes would follow
// aliases and keep doubled keys silently.
#include "trainer/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <iterator>
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
  bool is_foreign = false;  // It is no config at all; what came before is not worth judging.
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
  // `text` is what yaml-cpp reads; `original` is as long, and what places are counted in.
  TreeBuilder(std::string_view text, std::string_view original, const std::string& file,
              std::vector<Problem>& problems)
      : text_(text), positions_(original), file_(file), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      stop(mark, "a second document begins here", "keep one document, without a second ---");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    report_extras(mark, "?", anchor);
    finish(node_at(mark, YamlNode::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    report(mark, "an alias (*name)", "write the value out; aliases are not accepted");
    finish(node_at(mark, YamlNode::Kind::kUnread));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const std::string_view rest = text_.substr(byte_of(mark));
    const bool is_block = rest.starts_with('|') || rest.starts_with('>');
    if (is_block) report(mark, "a block scalar (| or >)", "write the text on one line");
    if (report_extras(mark, tag == "!" ? "?" : tag, anchor) || is_block) {
      finish(node_at(mark, YamlNode::Kind::kUnread));
      return;
    }
    YamlNode node = node_at(mark, YamlNode::Kind::kScalar);
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

  // What was whole when reading stopped: the sections so far, and the keys of the last one.
  std::optional<YamlNode> take_beginning() {
    if (root_ || open_.empty()) return take_root();
    Open& top = open_.front();
    if (top.node.kind != YamlNode::Kind::kMap) return std::nullopt;
    const bool has_section = open_.size() > 1 && open_[1].node.kind == YamlNode::Kind::kMap;
    if (has_section && top.key && problems_.size() + 1 < kMostProblems) {
      add_entry(top, std::move(open_[1].node));
    }
    return std::move(top.node);
  }

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
    throw Unreadable{Problem{file_, at.line, at.column, std::move(what), std::move(fix)},
                     /*is_foreign=*/false};
  }
  YamlNode node_at(const YAML::Mark& mark, YamlNode::Kind kind) {
    const TextPosition at = positions_.at(byte_of(mark));
    if (++nodes_ > kMostNodes) {
      give_up(at.line, at.column, str("more than ", kMostNodes, " values"));
    }
    YamlNode node;
    node.kind = kind;
    node.line = at.line;
    node.column = at.column;
    return node;
  }
  // Whether there is a tag or an anchor.
  bool report_extras(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    const std::size_t byte = byte_of(mark);
    const char first = byte < text_.size() ? text_[byte] : '\0';
    const bool has_tag = (!tag.empty() && tag != "?") || first == '!';
    const bool has_anchor = anchor != 0 || first == '&';
    if (has_tag) report(mark, "a tag (!name)", "remove it; tags are not accepted");
    if (has_anchor) report(mark, "an anchor (&name)", "remove it; anchors are not accepted");
    return has_tag || has_anchor;
  }
  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Kind kind) {
    report_extras(mark, tag, anchor);
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
      if (node.kind == YamlNode::Kind::kNull) {
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
  void report(const YAML::Mark& mark, std::string what, std::string fix) {
    const TextPosition at = positions_.at(byte_of(mark));
    report(at.line, at.column, std::move(what), std::move(fix));
  }
  void report(int line, int column, std::string what, std::string fix) {
    problems_.push_back({file_, line, column, std::move(what), std::move(fix)});
    if (problems_.size() >= kMostProblems) {
      give_up(line, column, "too many problems; the rest is not read");
    }
  }
  [[noreturn]] void give_up(int line, int column, std::string what) const {
    throw Unreadable{Problem{file_, line, column, std::move(what), "is this the right file?"},
                     /*is_foreign=*/true};
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

ParsedYaml parse_yaml(std::string_view text, const std::string& file,
                      std::vector<Problem>& problems) {
  CheckedBytes checked = check_yaml_bytes(text, file, kLargestConfigBytes);
  std::ranges::move(checked.problems, std::back_inserter(problems));
  if (!checked.readable) return {.root = std::nullopt, .is_whole = false};
  const std::string& readable = *checked.readable;
  if (const auto byte = find_deep_brackets(readable)) {
    const TextPosition at = TextPositions(checked.text).at(*byte);
    problems.push_back({file, at.line, at.column,
                        str("nested deeper than ", kDeepestConfig, " levels"), kShallow});
    return {.root = std::nullopt, .is_whole = false};
  }
  std::istringstream stream{readable};
  TreeBuilder builder(readable, checked.text, file, problems);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return {.root = builder.take_root()};
  } catch (const Unreadable& unreadable) {
    problems.push_back(unreadable.problem);
    if (unreadable.is_foreign) return {.root = std::nullopt, .is_whole = false};
  } catch (const YAML::Exception& error) {
    problems.push_back(problem_of(error, checked.text, file));
  }
  return {.root = builder.take_beginning(), .is_whole = false};
}

}  // namespace cloze
