// The schema of a config for editors, as JSON Schema: completion, descriptions and most errors
// while a file is written. What it refuses, the program refuses too, but for shares with an
// exponent or a sign (5e1%, -0%), which no editor need offer; rules between keys and the spelling
// of scalars (010, 1e3 for a whole number) are the program's alone.
#pragma once

#include <string>

namespace cloze {

// configs/schema/run.schema.json, draft 7, which the YAML language server knows best.
// `schema_text` is the text of configs/schema/run.proto, for its comments.
std::string config_json_schema(const std::string& schema_text);

}  // namespace cloze
