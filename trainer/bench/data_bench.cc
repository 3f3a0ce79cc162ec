#include "trainer/bench/data_bench.h"

#include <nlohmann/json.hpp>

#include "data/batch_builder.h"
#include "data/loader.h"
#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "trainer/bench/figure_text.h"
#include "trainer/bench/synthetic_samples.h"
#include "trainer/doctor/median.h"
#include "trainer/loop/console.h"

namespace cloze {
namespace {

// Jumps of a loader that is new each time, so that no batch is ready.
double median_seek(const SampleSource& samples, const config::Run& run,
                   const DataBenchOptions& options) {
  constexpr int kJumps = 5;
  const std::int64_t rows = options.tokens / run.data().seq_length();
  const std::int64_t global_size = run.batch().global_size();
  std::vector<double> times;
  for (int jump = 1; jump <= kJumps; ++jump) {
    const auto start = Clock::now();
    Loader loader(samples, BatchPlan({.global_size = global_size}),
                  {.microbatch = {.micro_size = run.batch().micro_size()}, .prefetch = 1},
                  rows / (kJumps + 1) * jump / global_size);
    loader.next_step();
    times.push_back(seconds_since(start));
  }
  return median_of(std::move(times));
}

}  // namespace

DataFigures bench_data(const config::Run& run, const DataBenchOptions& options) {
  DataFigures figures;
  const auto opened = Clock::now();
  const SampleSource samples = synthetic_samples(run, options.tokens);
  figures.open_seconds = seconds_since(opened);
  BatchBuilder builder(samples);
  Batch batch;
  const std::int64_t micro_size = run.batch().micro_size();
  builder.build(0, micro_size, batch);  // Buffers grow.
  figures.batch_bytes = num_bytes(batch);
  const auto start = Clock::now();
  while (figures.rows < options.rows) {
    figures.rows += micro_size;
    builder.build(figures.rows, micro_size, batch);
  }
  figures.seconds = seconds_since(start);
  figures.tokens = figures.rows * run.data().seq_length();
  figures.seek_seconds = median_seek(samples, run, options);
  return figures;
}

nlohmann::ordered_json json_of(const DataFigures& figures) {
  return {{"bench", "data"},
          {"tokens_per_second", figures.tokens_per_second()},
          {"rows", figures.rows},
          {"tokens", figures.tokens},
          {"seconds", figures.seconds},
          {"open_seconds", figures.open_seconds},
          {"seek_seconds", figures.seek_seconds},
          {"batch_bytes", figures.batch_bytes}};
}

std::vector<std::string> lines_of(const DataFigures& figures) {
  return {str("data | ", figures.rows, " rows in ", text_of(figures.seconds, "s"), ": ",
              count_text(figures.tokens_per_second()), " tokens/s in one thread"),
          str("seek | ", text_of(figures.seek_seconds, "s"),
              " to the first step after a jump, opened in ", text_of(figures.open_seconds, "s")),
          str("memory | ", text_of(figures.batch_bytes, "bytes"), " a microbatch")};
}

}  // namespace cloze
