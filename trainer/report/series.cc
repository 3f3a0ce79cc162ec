#include "trainer/report/series.h"

#include <algorithm>
#include <cmath>

namespace cloze {
namespace {

void merge(SeriesBucket& into, const SeriesBucket& next) {
  into.last_step = next.last_step;
  if (next.low.value < into.low.value) into.low = next.low;
  if (next.high.value > into.high.value) into.high = next.high;
  into.sum += next.sum;
  into.count += next.count;
  into.nulls += next.nulls;
}

SeriesBucket bucket_of(std::int64_t step, std::optional<double> value) {
  SeriesBucket bucket{.first_step = step, .last_step = step};
  if (value && std::abs(*value) <= Series::kLargest) {
    bucket.low = bucket.high = {step, *value};
    bucket.sum = *value;
    bucket.count = 1;
  } else {
    bucket.nulls = 1;
  }
  return bucket;
}

}  // namespace

void Series::add(std::int64_t step, std::optional<double> value) {
  if (!buckets_.empty() && step <= buckets_.back().last_step) forget_from(step);
  const SeriesBucket bucket = bucket_of(step, value);
  if (bucket.count > 0) last_ = bucket.low;
  if (!buckets_.empty() && buckets_.back().first_step / width_ == step / width_) {
    merge(buckets_.back(), bucket);
    return;
  }
  buckets_.push_back(bucket);
  while (buckets_.size() > kMaxBuckets) halve();
}

void Series::forget_from(std::int64_t step) {
  while (!buckets_.empty() && buckets_.back().first_step >= step) buckets_.pop_back();
  last_.reset();
  for (auto bucket = buckets_.rbegin(); bucket != buckets_.rend() && !last_; ++bucket) {
    if (bucket->count == 0) continue;
    last_ = bucket->low.step > bucket->high.step ? bucket->low : bucket->high;
  }
}

void Series::halve() {
  width_ *= 2;
  std::vector<SeriesBucket> merged;
  for (const SeriesBucket& bucket : buckets_) {
    if (!merged.empty() && merged.back().first_step / width_ == bucket.first_step / width_) {
      merge(merged.back(), bucket);
    } else {
      merged.push_back(bucket);
    }
  }
  buckets_ = std::move(merged);
}

std::int64_t Series::num_values() const {
  std::int64_t count = 0;
  for (const SeriesBucket& bucket : buckets_) count += bucket.count;
  return count;
}

std::int64_t Series::num_nulls() const {
  std::int64_t count = 0;
  for (const SeriesBucket& bucket : buckets_) count += bucket.nulls;
  return count;
}

double Series::sum() const {
  double sum = 0;
  for (const SeriesBucket& bucket : buckets_) sum += bucket.sum;
  return sum;
}

std::optional<StepValue> Series::lowest() const {
  std::optional<StepValue> found;
  for (const SeriesBucket& bucket : buckets_) {
    if (bucket.count > 0 && (!found || bucket.low.value < found->value)) found = bucket.low;
  }
  return found;
}

std::optional<StepValue> Series::highest() const {
  std::optional<StepValue> found;
  for (const SeriesBucket& bucket : buckets_) {
    if (bucket.count > 0 && (!found || bucket.high.value > found->value)) found = bucket.high;
  }
  return found;
}

}  // namespace cloze
