// Sums gradients over the ranks that hold the same parameters, bucket by bucket while backward
// still runs, and spreads updated values again: data parallelism with ZeRO stage 0 or 1
// (Rajbhandari et al., 2020).
//
// Every element is summed in rank order on its owner, so no bit depends on bucket sizes, on the
// stage of ZeRO or on a backend's algorithm.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/data_parallel/ownership.h"
#include "parallel/kernels/kernels.h"
#include "parallel/pass/parameter.h"

namespace cloze {

struct GradientReducerOptions {
  std::int64_t bucket_bytes;
  int zero_stage;                          // 0: every rank updates everything; 1: each its rows.
  const Kernels& kernels = cpu_kernels();  // Of the device that holds the gradients.
};

// What one rank updates of one flat buffer.
struct UpdateShard {
  FlatBuffer* buffer;
  bool whole;  // Laid out like the flat buffer: this rank updates all of it.
  // Rows that this rank owns, shard_offset counted in `gradient`: counted in the norm, saved.
  std::vector<OwnedRows> owned;
  at::Tensor gradient;  // [elements], accumulator type; the sum, after finish().
  at::Tensor value;     // [elements], compute type; what the optimizer writes.
};

class GradientReducer {
 public:
  // The table is allocated and has its values; the shards begin with them.
  GradientReducer(ParameterTable& table, GradientReducerOptions options, Communicator& data,
                  Communicator& tensor, Communicator& kv_replicas);
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // Zeroes the gradients: a new step.
  void begin();
  // All microbatches have added to this group's gradient. Starts its bucket when it is the last.
  void on_ready(ParameterGroup& group);
  // Waits until every gradient is summed. Every group must have been ready.
  void finish();

  std::vector<UpdateShard>& shards() { return shards_; }
  const std::vector<UpdateShard>& shards() const { return shards_; }

  // After the shards' values changed: every rank gets all rows.
  void publish_values();
  // Copies this rank's rows of the flat values into the shards' values.
  void collect_values();

  // Fills the rows of the other owners in `flat`, laid out like buffer `index`, from them.
  void gather_rows(std::size_t index, at::Tensor& flat) const;

 private:
  struct Reduction {  // One bucket in flight.
    std::size_t buffer;
    const Bucket* bucket;
    at::Tensor sent;      // Rows by owner.
    at::Tensor received;  // [data, my elements]
    Work work;
  };

  struct Gathering {  // All ranks' rows of one bucket on their way to all.
    const Bucket* bucket;
    at::Tensor all;  // [data, the most elements that a rank owns]
    Work work;
  };

  Gathering start_gathering(const Bucket& bucket, const at::Tensor& flat) const;
  void complete(Gathering& gathering, at::Tensor& flat) const;
  void sum_over_model_ranks(const FlatBuffer& buffer, const Bucket& bucket);
  void start(std::size_t buffer, const Bucket& bucket);
  void complete(Reduction& reduction);
  bool sharded() const { return data_.size() > 1; }

  ParameterTable& table_;
  const GradientReducerOptions options_;
  Communicator& data_;
  Communicator& tensor_;
  Communicator& kv_replicas_;
  std::vector<std::vector<Bucket>> buckets_;  // By flat buffer.
  std::vector<UpdateShard> shards_;           // By flat buffer.
  struct Place {
    std::size_t buffer;
    std::size_t bucket;
  };
  std::unordered_map<const ParameterGroup*, Place> places_;
  std::vector<std::vector<std::size_t>> missing_;  // Groups not ready, by buffer and bucket.
  std::deque<Reduction> in_flight_;
};

}  // namespace cloze
