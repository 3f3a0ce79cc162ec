// What one wants to know of a run first: how it stands, how far it is, how well it learns.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/run_record.h"

namespace cloze {

struct Figure {
  std::string name;
  std::string value;
  std::string detail;  // Smaller, below; may be empty.
};

// Those that the run has, in the order of the page.
std::vector<Figure> figures_of(const RunRecord& record);

// "glm4, 4 layers, hidden 128, fp32"; empty where the config is not known.
std::string model_text(const RunRecord& record);

// A state in words, and the class under which report.css colours it.
struct StateWords {
  const char* text;
  const char* css_class;
};
StateWords words_of(RunState state);

}  // namespace cloze
