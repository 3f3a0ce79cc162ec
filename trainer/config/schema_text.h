// The text of configs/schema/run.proto as this program was built with it. Its comments explain the
// keys; generated code does not keep them.
#pragma once

#include <string>

namespace cloze {

std::string schema_text();

}  // namespace cloze
