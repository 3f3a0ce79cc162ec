// The files of this folder that are put into every page; CMake makes assets.cc of them.
#pragma once

#include <string_view>

namespace cloze {

std::string_view report_style();   // report.css
std::string_view report_script();  // report.js

}  // namespace cloze
