// The checks that every collective passes, its record in the trace, and groups of one, which need
// no backend.
#include "parallel/comm/communicator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <numeric>

#include "parallel/base/check.h"
#include "parallel/comm/ordered_reduce.h"

namespace cloze {
namespace {

// Every tensor that a backend sees is dense memory of the one device that it serves.
void check_tensor(const Communicator& group, const char* call, const at::Tensor& tensor) {
  CLOZE_CHECK(tensor.defined(), str(group.name(), ".", call, ": an undefined tensor"),
              "allocate the tensor before the call");
  CLOZE_CHECK(
      tensor.device() == group.device(),
      str(group.name(), ".", call, ": a tensor on ", tensor.device(), ", not on ", group.device()),
      "move it there, or use a communicator of its device");
  CLOZE_CHECK(tensor.is_contiguous(),
              str(group.name(), ".", call, ": a tensor of shape ", tensor.sizes(), " and strides ",
                  tensor.strides(), " is not contiguous"),
              "call .contiguous() first");
}

void check_pair(const Communicator& group, const char* call, const at::Tensor& output,
                const at::Tensor& input) {
  check_tensor(group, call, output);
  check_tensor(group, call, input);
  CLOZE_CHECK(output.scalar_type() == input.scalar_type(),
              str(group.name(), ".", call, ": output is ", output.scalar_type(), ", input ",
                  input.scalar_type()),
              "give both the same dtype");
}

void check_summable(const Communicator& group, const char* call, const at::Tensor& tensor) {
  CLOZE_CHECK(is_reducible(tensor.scalar_type()),
              str(group.name(), ".", call, ": no reduction of ", tensor.scalar_type()),
              "use f64, f32, bf16, f16, i64, i32 or u8");
}

// `whole` holds one `part` per rank.
void check_parts(const Communicator& group, const char* call, const at::Tensor& whole,
                 const at::Tensor& part) {
  CLOZE_CHECK(whole.numel() == part.numel() * group.size(),
              str(group.name(), ".", call, ": shape ", whole.sizes(), " is not ", group.size(),
                  " times ", part.sizes()),
              "the whole must hold one part per rank of the group");
}

// Two tensors that may not share memory, since one is written while the other is read.
void check_apart(const Communicator& group, const char* call, const at::Tensor& output,
                 const at::Tensor& input) {
  const auto* out = static_cast<const char*>(output.const_data_ptr());
  const auto* in = static_cast<const char*>(input.const_data_ptr());
  const bool apart = output.nbytes() == 0 || input.nbytes() == 0 || out + output.nbytes() <= in ||
                     in + input.nbytes() <= out;
  CLOZE_CHECK(apart, str(group.name(), ".", call, ": input and output overlap in memory"),
              "give the output memory of its own");
}

// all_gather and reduce_scatter: part and whole may share memory only where the part is this
// rank's place in the whole.
void check_in_place(const Communicator& group, const char* call, const at::Tensor& whole,
                    const at::Tensor& part) {
  const auto* place = static_cast<const char*>(whole.const_data_ptr()) +
                      static_cast<std::int64_t>(part.nbytes()) * group.rank();
  if (place != part.const_data_ptr()) check_apart(group, call, whole, part);
}

void copy_bytes(const at::Tensor& output, const at::Tensor& input) {
  if (!output.is_cpu()) {
    output.view({-1}).copy_(input.view({-1}));
    return;
  }
  void* out = output.mutable_data_ptr();
  const void* in = input.const_data_ptr();
  if (out != in && input.nbytes() > 0) std::memmove(out, in, input.nbytes());
}

void check_rows(const Communicator& group, const char* side, const at::Tensor& tensor,
                std::span<const std::int64_t> rows) {
  CLOZE_CHECK(tensor.dim() >= 1, str(group.name(), ".all_to_all: ", side, " has no rows"),
              "give it at least one dim");
  CLOZE_CHECK(static_cast<int>(rows.size()) == group.size(),
              str(group.name(), ".all_to_all: ", rows.size(), " counts of ", side, " rows for ",
                  group.size(), " ranks"),
              "give one row count per rank");
  for (const std::int64_t count : rows) {
    CLOZE_CHECK(count >= 0, str(group.name(), ".all_to_all: ", count, " rows of ", side),
                "a row count is at least 0");
  }
  const std::int64_t total = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  CLOZE_CHECK(total == tensor.size(0),
              str(group.name(), ".all_to_all: the ", side, " has ", tensor.size(0),
                  " rows, its counts say ", total),
              "the counts must add up to the rows of the tensor");
}

}  // namespace

Work::Work(std::unique_ptr<Pending> pending, std::vector<at::Tensor> tensors)
    : pending_(std::move(pending)), tensors_(std::move(tensors)) {}

Work::~Work() {
  if (!pending_) return;
  if (std::uncaught_exceptions() == 0) {
    std::fputs("bug: a collective was started and never waited for\n", stderr);
    std::terminate();
  }
  give_up();
}

void Work::give_up() noexcept {
  if (!pending_->may_still_write()) {
    pending_.reset();
    tensors_.clear();
    return;
  }
  (void)pending_.release();
  (void)new std::vector<at::Tensor>(std::move(tensors_));
}

Work Work::traced(const CallTrace& call) && {
  call_ = call;
  if (!pending_) call_.done();
  return std::move(*this);
}

bool Work::test() {
  if (!pending_) return true;
  if (!pending_->test()) return false;
  call_.done();
  return true;
}

void Work::wait() {
  if (!pending_) return;
  const TraceSpan blocked(call_);
  try {
    pending_->wait();
  } catch (...) {
    give_up();
    throw;
  }
  call_.done();
  pending_.reset();
  tensors_.clear();
}

int rank_among(const std::vector<int>& members, int world_rank, const std::string& name) {
  const auto found = std::ranges::find(members, world_rank);
  CLOZE_CHECK(found != members.end(), str("rank ", world_rank, " is no member of ", name),
              "give each rank the members of its own group");
  return static_cast<int>(found - members.begin());
}

Communicator::Communicator(std::string name, int rank, int size, at::Device device)
    : name_(std::move(name)), rank_(rank), size_(size), device_(device) {
  CLOZE_CHECK(size >= 1 && rank >= 0 && rank < size,
              str(name_, ": rank ", rank, " of a group of ", size), "make a group of its members");
}

Work Communicator::all_reduce(at::Tensor tensor, ReduceOp op) {
  check_tensor(*this, "all_reduce", tensor);
  check_summable(*this, "all_reduce", tensor);
  if (size_ == 1 || tensor.numel() == 0) return {};
  const CallTrace call = open_call("all_reduce", tensor);
  return do_all_reduce(std::move(tensor), op).traced(call);
}

Work Communicator::all_gather(at::Tensor output, at::Tensor input) {
  check_pair(*this, "all_gather", output, input);
  check_parts(*this, "all_gather", output, input);
  check_in_place(*this, "all_gather", output, input);
  if (size_ == 1) copy_bytes(output, input);
  if (size_ == 1 || input.numel() == 0) return {};
  const CallTrace call = open_call("all_gather", output);
  return do_all_gather(std::move(output), std::move(input)).traced(call);
}

Work Communicator::reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) {
  check_pair(*this, "reduce_scatter", output, input);
  check_summable(*this, "reduce_scatter", input);
  check_parts(*this, "reduce_scatter", input, output);
  check_in_place(*this, "reduce_scatter", input, output);
  if (size_ == 1) copy_bytes(output, input);
  if (size_ == 1 || output.numel() == 0) return {};
  const CallTrace call = open_call("reduce_scatter", input);
  return do_reduce_scatter(std::move(output), std::move(input), op).traced(call);
}

Work Communicator::all_to_all(at::Tensor output, at::Tensor input,
                              std::span<const std::int64_t> output_rows,
                              std::span<const std::int64_t> input_rows) {
  check_pair(*this, "all_to_all", output, input);
  check_rows(*this, "output", output, output_rows);
  check_rows(*this, "input", input, input_rows);
  CLOZE_CHECK(
      output.sizes().slice(1) == input.sizes().slice(1),
      str(name_, ".all_to_all: rows of ", input.sizes(), " do not fit into ", output.sizes()),
      "input and output must agree in all dims but the first");
  CLOZE_CHECK(output_rows[rank_] == input_rows[rank_],
              str(name_, ".all_to_all: rank ", rank_, " sends itself ", input_rows[rank_],
                  " rows and expects ", output_rows[rank_]),
              "output_rows[r] here is input_rows[here] on rank r");
  if (size_ == 1) {
    copy_bytes(output, input);
    return {};
  }
  check_apart(*this, "all_to_all", output, input);
  const CallTrace call = open_call("all_to_all", input);
  return do_all_to_all(std::move(output), std::move(input), output_rows, input_rows).traced(call);
}

Work Communicator::broadcast(at::Tensor tensor, int root) {
  check_tensor(*this, "broadcast", tensor);
  CLOZE_CHECK(root >= 0 && root < size_,
              str(name_, ".broadcast: root ", root, " of a group of ", size_),
              "the root is a rank of the group");
  if (size_ == 1 || tensor.numel() == 0) return {};
  const CallTrace call = open_call("broadcast", tensor);
  return do_broadcast(std::move(tensor), root).traced(call);
}

Work Communicator::exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) {
  std::vector<Transfer> to_others;
  std::vector<Transfer> from_others;
  std::vector<const Transfer*> to_self;
  std::vector<const Transfer*> from_self;
  const auto sort = [&](std::span<const Transfer> transfers, std::vector<Transfer>& others,
                        std::vector<const Transfer*>& self) {
    for (const Transfer& transfer : transfers) {
      check_tensor(*this, "exchange", transfer.tensor);
      CLOZE_CHECK(transfer.peer >= 0 && transfer.peer < size_,
                  str(name_, ".exchange: peer ", transfer.peer, " of a group of ", size_),
                  "the peer is a rank of the group");
      if (transfer.peer == rank_) {
        self.push_back(&transfer);
      } else {
        others.push_back(transfer);
      }
    }
  };
  sort(sends, to_others, to_self);
  sort(receives, from_others, from_self);
  // What a rank sends itself, as in a ring of one, never leaves this function.
  CLOZE_CHECK(to_self.size() == from_self.size(),
              str(name_, ".exchange: rank ", rank_, " sends itself ", to_self.size(),
                  " tensors and receives ", from_self.size()),
              "a transfer to oneself has both sides in one call");
  for (std::size_t i = 0; i < to_self.size(); ++i) {
    CLOZE_CHECK(to_self[i]->tensor.nbytes() == from_self[i]->tensor.nbytes(),
                str(name_, ".exchange: rank ", rank_, " sends itself ", to_self[i]->tensor.nbytes(),
                    " bytes and receives ", from_self[i]->tensor.nbytes()),
                "both sides of a transfer have the same size");
    copy_bytes(from_self[i]->tensor, to_self[i]->tensor);
  }
  if (to_others.empty() && from_others.empty()) return {};
  const CallTrace call = open_exchange(to_others, from_others);
  return do_exchange(to_others, from_others).traced(call);
}

void Communicator::barrier() {
  if (size_ == 1) return;
  const CallTrace call = open_call("barrier", {});
  const TraceSpan blocked(call);
  do_barrier();
  call.done();
}

void Communicator::record_into(Trace& trace, std::vector<int> members) {
  CLOZE_CHECK(static_cast<int>(members.size()) == size_,
              str(name_, ": ", members.size(), " members of a group of ", size_),
              "give the world rank of each member");
  trace_group_ = trace.add_group(name_, rank_, std::move(members));
  trace_ = &trace;
}

CallTrace Communicator::open_call(TraceName name, const at::Tensor& whole) const {
  if (trace_ == nullptr || !trace_->is_on()) return {};
  const auto bytes = whole.defined() ? static_cast<std::int64_t>(whole.nbytes()) : 0;
  return trace_->open_call(trace_group_, name, bytes);
}

CallTrace Communicator::open_exchange(std::span<const Transfer> sends,
                                      std::span<const Transfer> receives) const {
  CallTrace call;
  if (trace_ == nullptr || !trace_->is_on()) return call;
  for (const auto& [tensor, peer] : sends) {
    trace_->open_message(call, trace_group_, TraceKind::kSend, peer,
                         static_cast<std::int64_t>(tensor.nbytes()));
  }
  for (const auto& [tensor, peer] : receives) {
    trace_->open_message(call, trace_group_, TraceKind::kReceive, peer,
                         static_cast<std::int64_t>(tensor.nbytes()));
  }
  return call;
}

}  // namespace cloze
