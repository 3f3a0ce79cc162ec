#include "parallel/data_parallel/gradient_reducer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

at::Tensor slice(const at::Tensor& flat, std::int64_t first, std::int64_t elements) {
  return flat.narrow(0, first, elements);
}

}  // namespace

GradientReducer::GradientReducer(ParameterTable& table, GradientReducerOptions options,
                                 Communicator& data, Communicator& tensor,
                                 Communicator& kv_replicas)
    : table_(table), options_(options), data_(data), tensor_(tensor), kv_replicas_(kv_replicas) {
  const auto rank = static_cast<std::size_t>(data.rank());
  for (std::size_t i = 0; i < table.buffers().size(); ++i) {
    FlatBuffer& buffer = table.buffers()[i];
    buckets_.push_back(cut_buckets(buffer, data.size(), options.bucket_bytes));
    const bool whole = !sharded() || options.zero_stage == 0;
    UpdateShard shard{&buffer, whole, {}, {}, {}};
    std::int64_t elements = 0;
    for (std::size_t b = 0; b < buckets_.back().size(); ++b) {
      const Bucket& bucket = buckets_.back()[b];
      for (const ParameterGroup* group : bucket.groups) places_[group] = {i, b};
      shard.owned.insert(shard.owned.end(), bucket.pieces[rank].begin(), bucket.pieces[rank].end());
      elements += bucket.counts[rank];
    }
    if (!whole) {
      shard.gradient = at::zeros({elements}, buffer.main_grad.options());
      shard.value = at::zeros({elements}, buffer.value.options());
    } else {
      shard.gradient = buffer.main_grad;
      shard.value = buffer.value;
      for (OwnedRows& piece : shard.owned) piece.shard_offset = piece.flat_offset;
    }
    shards_.push_back(std::move(shard));
  }
  collect_values();
}

void GradientReducer::begin() {
  table_.zero_gradients();
  missing_.clear();
  for (const std::vector<Bucket>& buckets : buckets_) {
    std::vector<std::size_t>& counts = missing_.emplace_back();
    for (const Bucket& bucket : buckets) counts.push_back(bucket.groups.size());
  }
}

void GradientReducer::on_ready(ParameterGroup& group) {
  const auto found = places_.find(&group);
  if (found == places_.end()) return;  // A copy: its owner sums it.
  const auto [buffer, bucket] = found->second;
  CLOZE_CHECK(missing_.at(buffer).at(bucket) > 0,
              str(group.members.front().spec.name, " was ready twice in a step"),
              "call ready() once a microbatch");
  if (--missing_[buffer][bucket] == 0) start(buffer, buckets_[buffer][bucket]);
  // Rounds, and messages that no thread moves, go on only when asked.
  for (Reduction& reduction : in_flight_) reduction.work.test();
}

void GradientReducer::sum_over_model_ranks(const FlatBuffer& buffer, const Bucket& bucket) {
  if (buffer.sum_over_tensor) {
    tensor_
        .all_reduce(slice(buffer.main_grad, bucket.first_element, bucket.elements), ReduceOp::kSum)
        .wait();
  }
  for (const ParameterGroup* group : bucket.groups) {
    // Members that are partial lie side by side (k and v), so one sum serves them.
    const Parameter* first = nullptr;
    std::int64_t rows = 0;
    for (const Parameter& member : group->members) {
      if (member.spec.sum != GradientSum::kKvReplicas) continue;
      if (first == nullptr) first = &member;
      rows += member.main_grad.size(0);
    }
    if (first == nullptr) continue;
    const std::int64_t before = group->main_grad.size(0) - rows;  // They are the last members.
    kv_replicas_.all_reduce(group->main_grad.narrow(0, before, rows), ReduceOp::kSum).wait();
  }
}

void GradientReducer::start(std::size_t buffer_index, const Bucket& bucket) {
  const FlatBuffer& buffer = table_.buffers()[buffer_index];
  sum_over_model_ranks(buffer, bucket);
  if (!sharded()) return;
  const std::int64_t total =
      std::accumulate(bucket.counts.begin(), bucket.counts.end(), std::int64_t{0});
  const std::int64_t mine = bucket.counts[static_cast<std::size_t>(data_.rank())];
  at::Tensor sent = at::empty({total}, buffer.main_grad.options());
  at::Tensor received = at::empty({mine * data_.size()}, buffer.main_grad.options());
  std::int64_t place = 0;
  for (const std::vector<OwnedRows>& pieces : bucket.pieces) {
    for (const OwnedRows& piece : pieces) {
      slice(sent, place, piece.elements)
          .copy_(slice(buffer.main_grad, piece.flat_offset, piece.elements));
      place += piece.elements;
    }
  }
  const std::vector<std::int64_t> incoming(static_cast<std::size_t>(data_.size()), mine);
  Work work = data_.all_to_all(received, sent, incoming, bucket.counts);
  in_flight_.push_back({buffer_index, &bucket, sent, received, std::move(work)});
}

void GradientReducer::complete(Reduction& reduction) {
  reduction.work.wait();
  const auto rank = static_cast<std::size_t>(data_.rank());
  const std::vector<OwnedRows>& pieces = reduction.bucket->pieces[rank];
  if (pieces.empty()) return;
  const UpdateShard& shard = shards_[reduction.buffer];
  const bool in_place = options_.zero_stage == 0;  // Pieces lie apart in the flat buffer.
  const std::int64_t mine = reduction.bucket->counts[rank];
  with_type(shard.gradient.scalar_type(), [&]<typename T>() {
    std::int64_t place = 0;
    for (const OwnedRows& piece : pieces) {
      std::vector<const T*> parts;
      for (int source = 0; source < data_.size(); ++source) {
        parts.push_back(data_of<const T>(reduction.received) + source * mine + place);
      }
      const std::int64_t offset = in_place ? piece.flat_offset : piece.shard_offset;
      options_.kernels.of<T>().ordered_sum(parts.data(), data_.size(),
                                           data_of<T>(shard.gradient) + offset, piece.elements);
      place += piece.elements;
    }
  });
}

void GradientReducer::finish() {
  for (std::size_t i = 0; i < missing_.size(); ++i) {
    for (std::size_t b = 0; b < missing_[i].size(); ++b) {
      CLOZE_CHECK(missing_[i][b] == 0,
                  str(missing_[i][b], " gradients of the bucket of ",
                      buckets_[i][b].groups.front()->members.front().spec.name, " never came"),
                  "every layer's backward calls ready() for each of its groups");
    }
  }
  while (!in_flight_.empty()) {
    complete(in_flight_.front());
    in_flight_.pop_front();
  }
  if (!sharded() || options_.zero_stage >= 1) return;
  for (std::size_t i = 0; i < shards_.size(); ++i) gather_rows(i, table_.buffers()[i].main_grad);
}

GradientReducer::Gathering GradientReducer::start_gathering(const Bucket& bucket,
                                                            const at::Tensor& flat) const {
  const std::int64_t largest = *std::max_element(bucket.counts.begin(), bucket.counts.end());
  at::Tensor mine = at::zeros({largest}, flat.options());
  at::Tensor all = at::empty({largest * data_.size()}, flat.options());
  std::int64_t packed = 0;
  for (const OwnedRows& piece : bucket.pieces[static_cast<std::size_t>(data_.rank())]) {
    slice(mine, packed, piece.elements).copy_(slice(flat, piece.flat_offset, piece.elements));
    packed += piece.elements;
  }
  Work work = data_.all_gather(all, mine);
  return {&bucket, std::move(all), std::move(work)};
}

void GradientReducer::complete(Gathering& gathering, at::Tensor& flat) const {
  gathering.work.wait();
  const Bucket& bucket = *gathering.bucket;
  const std::int64_t largest = gathering.all.numel() / data_.size();
  for (int rank = 0; rank < data_.size(); ++rank) {
    if (rank == data_.rank()) continue;
    std::int64_t packed = rank * largest;
    for (const OwnedRows& piece : bucket.pieces[static_cast<std::size_t>(rank)]) {
      slice(flat, piece.flat_offset, piece.elements)
          .copy_(slice(gathering.all, packed, piece.elements));
      packed += piece.elements;
    }
  }
}

void GradientReducer::gather_rows(std::size_t index, at::Tensor& flat) const {
  if (!sharded()) return;
  // A bucket travels while the rows of the one before it are put to their places.
  std::deque<Gathering> in_flight;
  for (const Bucket& bucket : buckets_[index]) {
    in_flight.push_back(start_gathering(bucket, flat));
    if (in_flight.size() < 2) continue;
    complete(in_flight.front(), flat);
    in_flight.pop_front();
  }
  if (!in_flight.empty()) complete(in_flight.front(), flat);
}

void GradientReducer::publish_values() {
  if (!sharded() || options_.zero_stage == 0) return;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    UpdateShard& shard = shards_[i];
    for (const OwnedRows& piece : shard.owned) {
      slice(shard.buffer->value, piece.flat_offset, piece.elements)
          .copy_(slice(shard.value, piece.shard_offset, piece.elements));
    }
    gather_rows(i, shard.buffer->value);
  }
}

void GradientReducer::collect_values() {
  if (!sharded() || options_.zero_stage == 0) return;
  for (UpdateShard& shard : shards_) {
    for (const OwnedRows& piece : shard.owned) {
      slice(shard.value, piece.shard_offset, piece.elements)
          .copy_(slice(shard.buffer->value, piece.flat_offset, piece.elements));
    }
  }
}

}  // namespace cloze
