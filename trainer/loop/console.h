// What a run prints: a header, a line for each logged step, a live progress bar on a terminal.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/loop/train_step.h"

namespace cloze {

// Speed of the steps since the last line.
struct StepSpeed {
  double step_seconds = 0;       // Of the last step.
  double tokens_per_second = 0;  // Positions of rows, padding of rows included.
  double tflops = 0;             // Of all ranks.
  double mfu = 0;                // Share of the ranks' measured matrix peak.
  double eta_seconds = 0;
};

// The line of a logged step. Its pattern is a promise to those who read logs: docs/train.md.
// "step 10/100 | loss 8.1234 | grad norm 1.230 | lr 3.000e-04 | 14.2 k tokens/s | ..."
std::string step_line(std::int64_t step, std::int64_t last_step, const StepReport& report,
                      const StepSpeed& speed);
// "step 10 validation | loss 8.1234 | perplexity 3372.31"; the same promise.
std::string validation_line(std::int64_t step, double loss);

class Console {
 public:
  // Silent but for rank 0.
  Console(bool enabled, std::int64_t last_step);

  void line(const std::string& text);
  void warning(const std::string& text);  // On stderr.
  void step(std::int64_t step, const StepReport& report, const StepSpeed& speed);
  // Redraws the bar, at most ten times a second; nothing when stdout is no terminal.
  void progress(std::int64_t step, double loss);

 private:
  void clear_bar();

  const bool enabled_;
  const bool terminal_;
  const std::int64_t last_step_;
  bool bar_shown_ = false;
  double last_drawn_ = 0;
};

// "1 h 02 min", "3 min 20 s", "12 s"; "?" for what is no time, or more than a thousand years.
std::string duration_text(double seconds);
// "1.23 M", "45.6 k", "789", "inf", "nan".
std::string count_text(double count);

}  // namespace cloze
