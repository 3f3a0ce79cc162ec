// RUN/metrics.jsonl as series: one for each number that its lines hold.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/report/json_lines.h"
#include "trainer/report/series.h"

namespace cloze {

// How a sample is made, in the order in which the page shows them.
inline constexpr std::array<std::string_view, 4> kObjectives = {"mask", "sentence", "document",
                                                                "causal"};

struct RunMetrics {
  // "loss", "grad_norm", "skipped" (0 or 1), ..., and "validation.loss" for what stands in the
  // object `validation`.
  std::map<std::string, Series, std::less<>> series;
  LineCounts lines;
  std::int64_t first_step = 0;  // Of the lines there are.
  std::int64_t last_step = 0;
  std::int64_t num_steps_back = 0;  // Lines whose step is not above the one before.
  std::int64_t num_ignored = 0;     // Numbers beyond kMaxSeries names, or oddly named.

  static constexpr std::size_t kMaxSeries = 48;

  // An empty series for a name that never occurred.
  const Series& of(std::string_view name) const;
  // The names behind `prefix`, in the order of kObjectives, then of the alphabet.
  std::vector<std::string> names_behind(std::string_view prefix) const;
};

// kBadInput when the file is missing.
RunMetrics read_metrics(const std::filesystem::path& path);

}  // namespace cloze
