// One number over the steps of a run, however long: at most kMaxBuckets buckets, each of which
// keeps the lowest and the highest value of its steps. While the run is short, a bucket is a step.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace cloze {

struct StepValue {
  std::int64_t step = 0;
  double value = 0;
  bool operator==(const StepValue&) const = default;
};

// The values of neighbouring steps.
struct SeriesBucket {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  StepValue low{0, std::numeric_limits<double>::infinity()};
  StepValue high{0, -std::numeric_limits<double>::infinity()};
  double sum = 0;          // Of the finite values.
  std::int64_t count = 0;  // Finite values.
  std::int64_t nulls = 0;  // Steps whose value was not finite.
};

class Series {
 public:
  static constexpr std::size_t kMaxBuckets = 1500;
  // Beyond this nothing can be drawn: a difference of two values must be finite too.
  static constexpr double kLargest = 1e300;

  // `value` is nothing where the run's number was not finite. Steps rise; a step that does not
  // takes the place of what was there from it on, as a run that went back writes it again.
  void add(std::int64_t step, std::optional<double> value);

  const std::vector<SeriesBucket>& buckets() const { return buckets_; }
  bool empty() const { return buckets_.empty(); }
  std::int64_t num_values() const;  // Finite ones.
  std::int64_t num_nulls() const;
  double sum() const;
  double mean() const { return sum() / static_cast<double>(num_values()); }

  // Of the finite values; nothing when there are none.
  std::optional<StepValue> lowest() const;
  std::optional<StepValue> highest() const;
  // The newest finite value; not exact after a step that fell back into a bucket of many steps.
  std::optional<StepValue> last() const { return last_; }

 private:
  void forget_from(std::int64_t step);
  void halve();

  std::vector<SeriesBucket> buckets_;
  std::int64_t width_ = 1;  // Steps of a bucket: the one of step s is s / width.
  std::optional<StepValue> last_;
};

}  // namespace cloze
