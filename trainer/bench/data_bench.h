// How fast rows are made: by the loader's thread, from text that is made up.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "trainer/bench/synthetic_samples.h"

namespace cloze {

struct DataBenchOptions {
  std::int64_t rows = 2000;                // To make.
  std::int64_t tokens = kSyntheticTokens;  // Of the text that they are made of.
};

struct DataFigures {
  std::int64_t rows = 0;
  std::int64_t tokens = 0;       // rows * seq_length
  double seconds = 0;            // Of the thread that makes them; it makes up their text too.
  double open_seconds = 0;       // Until rows can be made.
  double seek_seconds = 0;       // From a jump far into the text to the first step; a median.
  std::int64_t batch_bytes = 0;  // Of a microbatch.

  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
};

// Makes rows of the config's objective and length, as the first data rank's.
DataFigures bench_data(const config::Run& run, const DataBenchOptions& options);

nlohmann::ordered_json json_of(const DataFigures& figures);
std::vector<std::string> lines_of(const DataFigures& figures);

}  // namespace cloze
