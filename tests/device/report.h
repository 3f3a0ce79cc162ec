// What the checks of the kernels found.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace cloze {

struct CheckOutcome {
  std::string name;
  bool passed = false;
  std::string detail;      // What is wrong, or empty.
  double error_share = 0;  // The largest error as a share of what is allowed.
};

// Results of one array: as doubles, which hold every storage type exactly.
struct Expectation {
  std::string array;
  std::vector<double> values;
  // Each element within `allowed` times the larger of 1 and the expected magnitude; 0: equal. An
  // expected NaN or infinity must be just that.
  double allowed = 0.0;
  std::vector<double> more_allowed{};  // Of each element, beside that; may be empty.
};

class CheckReport {
 public:
  // `listener` is called with each outcome as it is known. Quick: for tools that make kernels slow.
  // before_run(i), i = 0, 1: called before a check computes its arrays for the i-th time.
  explicit CheckReport(
      std::function<void(const CheckOutcome&)> listener, bool quick = false,
      std::function<void(int)> before_run = [](int) {})
      : listener_(std::move(listener)), before_run_(std::move(before_run)), quick_(quick) {}

  // Runs `run` twice (once when quick); it gives the arrays that `expected` describes. They must be
  // as expected, and the same bits both times.
  void check(const std::string& name, const std::vector<Expectation>& expected,
             const std::function<std::vector<std::vector<double>>()>& run);

  bool quick() const { return quick_; }
  int passed() const { return passed_; }
  int failed() const { return failed_; }

 private:
  std::function<void(const CheckOutcome&)> listener_;
  std::function<void(int)> before_run_;
  bool quick_;
  int passed_ = 0;
  int failed_ = 0;
};

}  // namespace cloze
