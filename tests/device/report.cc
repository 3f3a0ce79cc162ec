// Compares what a device computed with what it should have.
#include "tests/device/report.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "tests/device/device_memory.h"

namespace cloze {
namespace {

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// Adds to the outcome what is wrong with one array.
void compare(const Expectation& expected, const std::vector<double>& actual,
             CheckOutcome& outcome) {
  std::ostringstream text;
  if (actual.size() != expected.values.size()) {
    text << expected.array << " has " << actual.size() << " elements; ";
    outcome.detail += text.str();
    return;
  }
  std::size_t wrong = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double want = expected.values[i];
    bool good = same(actual[i], want);
    const double allowed = expected.allowed * std::max(1.0, std::abs(want)) +
                           (expected.more_allowed.empty() ? 0.0 : expected.more_allowed.at(i));
    if (!good && std::isfinite(want) && std::isfinite(actual[i]) && allowed > 0.0) {
      const double share = std::abs(actual[i] - want) / allowed;
      outcome.error_share = std::max(outcome.error_share, share);
      good = share <= 1.0;
    }
    if (good) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return;
  text.precision(9);
  text << expected.array << ": " << wrong << " of " << actual.size() << " wrong, the first at "
       << first << ": " << actual[first] << ", not " << expected.values[first] << "; ";
  outcome.detail += text.str();
}

}  // namespace

void CheckReport::check(const std::string& name, const std::vector<Expectation>& expected,
                        const std::function<std::vector<std::vector<double>>()>& run) {
  CheckOutcome outcome{.name = name, .passed = false, .detail = "", .error_share = 0};
  try {
    before_run_(0);
    const auto first = run();
    if (!quick_) before_run_(1);
    const auto second = quick_ ? first : run();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      compare(expected[i], first.at(i), outcome);
      if (!std::ranges::equal(first.at(i), second.at(i), same)) {
        outcome.detail += expected[i].array + " differs from run to run; ";
      }
    }
  } catch (const DeviceLost& error) {
    ++failed_;
    outcome.detail = error.what();
    listener_(outcome);
    throw;
  } catch (const std::exception& error) {
    outcome.detail += error.what();
  }
  outcome.passed = outcome.detail.empty();
  ++(outcome.passed ? passed_ : failed_);
  listener_(outcome);
}

}  // namespace cloze
