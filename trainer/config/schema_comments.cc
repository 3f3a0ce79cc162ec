// A line at a time, with the scopes that are open.
#include "trainer/config/schema_comments.h"

#include <algorithm>
#include <sstream>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/keys.h"

namespace cloze {

SchemaComments::SchemaComments(const std::string& schema_text) {
  std::istringstream lines(schema_text);
  std::string line;
  while (std::getline(lines, line)) read_line(line);
  CLOZE_REQUIRE(scopes_.empty() && !comments_.empty(), ExitCode::kBadInput,
                "the schema's braces do not close", "give configs/schema/run.proto");
}

std::string SchemaComments::of(const std::string& full_name) const {
  const auto found = comments_.find(full_name);
  return found == comments_.end() ? "" : found->second;
}

void SchemaComments::read_line(std::string_view line) {
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

void SchemaComments::read_declaration(const std::string& code) {
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

void SchemaComments::remember(const std::string& name) {
  if (pending_.empty()) return;
  const std::string scope = "cloze.config." + join(scopes_, ".");
  comments_[name.empty() ? scope : scope + "." + name] = pending_;
}

}  // namespace cloze
