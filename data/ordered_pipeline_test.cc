#include "data/ordered_pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace cloze {
namespace {

using Pipeline = OrderedPipeline<int, int>;

// Squares 0 .. count - 1; even numbers take longer, so that results come out of order.
Pipeline& set_up(Pipeline& pipeline, int count, std::vector<int>& results) {
  pipeline.produce = [next = 0, count](int& item) mutable {
    item = next++;
    return item < count;
  };
  pipeline.weight = [](const int&) { return std::int64_t{1}; };
  pipeline.make_worker = [] {
    return [](const int& item) {
      if (item % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      return item * item;
    };
  };
  pipeline.consume = [&results](int& result) { results.push_back(result); };
  pipeline.max_items = 8;
  pipeline.max_weight = 8;
  return pipeline;
}

TEST(OrderedPipelineTest, ResultsComeInOrderForAnyNumberOfWorkers) {
  for (const int workers : {1, 2, 3, 8}) {
    std::vector<int> results;
    Pipeline pipeline;
    set_up(pipeline, 300, results).run(workers);
    ASSERT_EQ(results.size(), 300U);
    for (int i = 0; i < 300; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], i * i);
  }
}

TEST(OrderedPipelineTest, NothingIsNoWork) {
  std::vector<int> results;
  Pipeline pipeline;
  set_up(pipeline, 0, results).run(3);
  EXPECT_TRUE(results.empty());
}

TEST(OrderedPipelineTest, HoldsNoMoreThanItsLimits) {
  std::vector<int> results;
  std::atomic<int> produced = 0;
  int consumed = 0;
  int most = 0;
  Pipeline pipeline;
  set_up(pipeline, 100, results);
  pipeline.produce = [&](int& item) {
    item = produced++;
    return item < 100;
  };
  pipeline.weight = [](const int&) { return std::int64_t{10}; };
  pipeline.max_weight = 35;
  pipeline.consume = [&](int&) {
    most = std::max(most, produced - consumed);
    ++consumed;
  };
  pipeline.run(4);
  EXPECT_EQ(consumed, 100);
  EXPECT_LE(most, 4);  // Three in flight and the one that waits for room.
}

TEST(OrderedPipelineTest, AnItemHeavierThanTheLimitPassesAlone) {
  std::vector<int> results;
  Pipeline pipeline;
  set_up(pipeline, 5, results);
  pipeline.weight = [](const int&) { return std::int64_t{1000}; };
  pipeline.run(2);
  EXPECT_EQ(results.size(), 5U);
}

TEST(OrderedPipelineTest, TheFirstErrorOfTheSequenceIsTheOneThrown) {
  for (int repetition = 0; repetition < 20; ++repetition) {
    std::vector<int> results;
    Pipeline pipeline;
    set_up(pipeline, 300, results);
    pipeline.make_worker = [] {
      return [](const int& item) {
        if (item == 40) std::this_thread::sleep_for(std::chrono::microseconds(300));
        if (item >= 40) throw std::runtime_error(std::to_string(item));
        return item;
      };
    };
    try {
      pipeline.run(4);
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "40");
    }
    EXPECT_EQ(results.size(), 40U);
  }
}

TEST(OrderedPipelineTest, AnErrorOfTheProducerComesAfterWhatItProduced) {
  std::vector<int> results;
  Pipeline pipeline;
  set_up(pipeline, 300, results);
  pipeline.produce = [next = 0](int& item) mutable {
    item = next++;
    if (item == 25) throw std::runtime_error("no more");
    return true;
  };
  EXPECT_THROW(pipeline.run(3), std::runtime_error);
  EXPECT_EQ(results.size(), 25U);
}

TEST(OrderedPipelineTest, AnErrorOfTheConsumerEndsTheRun) {
  std::vector<int> results;
  Pipeline pipeline;
  set_up(pipeline, 1000000000, results);
  pipeline.consume = [](int& result) {
    if (result == 100) throw std::runtime_error("full");
  };
  EXPECT_THROW(pipeline.run(3), std::runtime_error);
}

TEST(OrderedPipelineTest, AWorkerThatCannotBeMadeEndsTheRun) {
  std::vector<int> results;
  Pipeline pipeline;
  set_up(pipeline, 100, results);
  pipeline.make_worker = []() -> Pipeline::Work { throw std::runtime_error("no memory"); };
  EXPECT_THROW(pipeline.run(3), std::runtime_error);
  EXPECT_TRUE(results.empty());
}

}  // namespace
}  // namespace cloze
