// The page that explains every key, made from the schema and its comments.
#pragma once

#include <string>

namespace cloze {

// docs/config.md. `schema_text` is the text of configs/schema/run.proto, for its comments.
std::string config_reference(const std::string& schema_text);

}  // namespace cloze
