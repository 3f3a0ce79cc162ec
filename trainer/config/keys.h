// The keys of a config by their dotted names, and what the schema says of each.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

// "optimizer.lr": a field of a section. Both descriptors live as long as the program.
struct Key {
  const google::protobuf::FieldDescriptor* section = nullptr;  // Field of Run.
  const google::protobuf::FieldDescriptor* field = nullptr;    // Field of the section's message.

  std::string name() const { return section->name() + "." + field->name(); }
};

// Every key in the order of the schema.
std::vector<Key> all_keys();
// Nothing when there is no such key.
std::optional<Key> find_key(std::string_view dotted);

// Whether the key has a value: a set field, or a list that is not empty.
bool is_set(const config::Run& run, const Key& key);
void clear(config::Run& run, const Key& key);
// The section's message, for reading and for writing.
const google::protobuf::Message& section_of(const config::Run& run, const Key& key);
google::protobuf::Message& mutable_section_of(config::Run& run, const Key& key);

// The value (the default when it is not set) as YAML on one line: 3e-4, "runs/tiny", [7, 1].
std::string value_text(const config::Run& run, const Key& key);

// An enum value as YAML writes it: 1f1b for one_f_one_b.
std::string spelling_of(const google::protobuf::EnumValueDescriptor& value);
std::vector<std::string> spellings_of(const google::protobuf::EnumDescriptor& type);

// "from 1 to 4096", "greater than 0", or "" when any value of the type is in range.
std::string range_text(const google::protobuf::FieldDescriptor& field);
bool is_in_range(const google::protobuf::FieldDescriptor& field, double value);

// The candidate closest to a mistyped word, when one is close.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

// A text in double quotes, with escapes where YAML needs them.
std::string quoted(std::string_view text);

}  // namespace cloze
