// Reads the value of one key into its field: type, range, spelling, and what is supported.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "trainer/config/load.h"
#include "trainer/config/yaml_tree.h"

namespace cloze {

// `name` is the dotted key and `file` the source for messages. The field is left in any state
// when a problem is reported.
void read_value(const YamlNode& node, const std::string& name,
                const google::protobuf::FieldDescriptor& field, google::protobuf::Message& message,
                const std::string& file, std::vector<Problem>& problems);

}  // namespace cloze
