#include "parallel/comm/progress_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "parallel/base/clock.h"

namespace cloze {
namespace {

// Whether `done` came true within a minute: machines are slow at times.
template <class Done>
bool comes_true(const Done& done) {
  const auto start = Clock::now();
  while (!done()) {
    if (seconds_since(start) > 60) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST(ProgressThreadTest, WorksWhileNeededAndRestsOtherwise) {
  std::atomic<bool> needed = false;
  std::atomic<int> asked = 0;
  std::atomic<int> calls = 0;
  const ProgressThread thread(
      [&] {
        ++asked;
        return needed.load();
      },
      [&] { ++calls; });
  ASSERT_TRUE(comes_true([&] { return asked > 3; }));
  EXPECT_EQ(calls, 0);
  needed = true;
  ASSERT_TRUE(comes_true([&] { return calls > 3; }));
  needed = false;
  // One call may have been decided on before.
  const int asked_before = asked;
  ASSERT_TRUE(comes_true([&] { return asked > asked_before + 1; }));
  const int calls_before = calls;
  ASSERT_TRUE(comes_true([&] { return asked > asked_before + 5; }));
  EXPECT_EQ(calls, calls_before);
}

TEST(ProgressThreadTest, EndsAndCallsNothingAfterwards) {
  std::atomic<int> calls = 0;
  {
    const ProgressThread thread([] { return true; }, [&] { ++calls; });
    ASSERT_TRUE(comes_true([&] { return calls > 0; }));
  }
  const int at_end = calls;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(calls, at_end);
}

}  // namespace
}  // namespace cloze
