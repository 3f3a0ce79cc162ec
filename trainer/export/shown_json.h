// JSON of a stranger in a message.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace cloze {

// A text, number or truth value as it is, of anything larger only what it is: printing a deep
// value would need a deep stack.
inline std::string shown(const nlohmann::json& json) {
  if (json.is_structured()) return json.is_array() ? "a list" : "an object";
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cloze
