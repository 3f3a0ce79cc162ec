// A run's config.yaml as lines that the page's search can filter.
#pragma once

#include <string>
#include <string_view>

namespace cloze {

// Each line knows the path of its key, "parallel.tensor", where the text is indented as resolved
// configs are; a text that is not is shown as it is.
std::string config_html(std::string_view yaml);

}  // namespace cloze
