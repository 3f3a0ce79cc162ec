// What the schema's comments say. Generated code does not keep comments, so they are read from the
// schema's text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// Comments by the full name of a message, field or enum value. Reads the schema as clang-format
// lays it out: one declaration a line, or its first words on a line; comments above it or behind.
class SchemaComments {
 public:
  // Of the text of configs/schema/run.proto; another text is kBadInput.
  explicit SchemaComments(const std::string& schema_text);

  // "" when there is none.
  std::string of(const std::string& full_name) const;

 private:
  void read_line(std::string_view line);
  void read_declaration(const std::string& code);
  void remember(const std::string& name);

  std::map<std::string, std::string> comments_;
  std::vector<std::string> scopes_;
  std::string pending_;  // A comment that waits for its declaration.
};

}  // namespace cloze
