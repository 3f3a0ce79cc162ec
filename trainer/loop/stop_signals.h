// SIGTERM and SIGUSR1 as a question asked between steps, not as an interruption.
#pragma once

namespace cloze {

// Blocks the two signals for this thread and the threads it starts; make it before any. The
// kernel then keeps a signal until it is asked for.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  // Whether one has come since the start.
  bool came();

 private:
  int descriptor_;
  bool came_ = false;
};

}  // namespace cloze
