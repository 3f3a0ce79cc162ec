// Every call leaves a copy of its input with the group and returns; wait() reads the copies of
// the others. So a sender never blocks, and no thread writes to memory of another.
#include "parallel/comm/local_communicator.h"

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/comm/ordered_reduce.h"

namespace cloze {
namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(const at::Tensor& tensor) {
  const auto* first = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {first, first + tensor.nbytes()};
}

// What one rank leaves for a collective.
struct Input {
  bool arrived = false;
  Bytes bytes;
  std::vector<std::int64_t>
      offsets;  // all_to_all: where the part of each rank starts, and the end.
};

// One collective in flight.
struct Call {
  std::string what;  // Must be the same on every rank.
  std::vector<Input> inputs;
  int num_arrived = 0;
  int num_finished = 0;
};

// What one rank sent another and the other has not read. Messages are numbered in order.
struct Mailbox {
  std::map<std::int64_t, Bytes> messages;
  std::int64_t num_sent = 0;
  std::int64_t num_expected = 0;
};

}  // namespace

// All of it is guarded by the mutex of State, but for inputs of a call that all ranks reached.
struct LocalWorld::Group {
  std::string name;
  std::vector<int> members;
  std::map<std::int64_t, Call> calls;  // By number; a map, since references must stay valid.
  std::map<std::pair<int, int>, Mailbox> mailboxes;  // By (sender, receiver).
};

struct LocalWorld::State {
  State(int size, std::chrono::seconds longest_wait)
      : deadline(longest_wait), last_call(size, "made no call"), gone(size, false) {}

  const std::chrono::seconds deadline;
  std::mutex mutex;
  std::condition_variable moved;
  // The first rank of each group makes it; others with the same name and members join. Groups
  // made twice are told apart by the last number.
  std::map<std::tuple<std::string, std::vector<int>, int>, std::unique_ptr<Group>> groups;
  std::map<std::tuple<std::string, std::vector<int>, int>, int> num_made;  // By rank.
  std::vector<std::string> last_call;                                      // By world rank.
  std::vector<bool> gone;                                                  // By world rank.
  std::string failure;  // Why every wait ends; empty while none does.

  std::string report() const {
    std::string text;
    for (std::size_t rank = 0; rank < last_call.size(); ++rank) {
      text += str("\n  rank ", rank, ": ", last_call[rank], gone[rank] ? "; it has ended" : "");
    }
    return text;
  }

  // Waits until `ready`; `missing` gives the world rank that this one waits for.
  void wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& ready,
            const std::function<int()>& missing, const std::string& where) {
    const auto lost = [&] { return !failure.empty() || gone[missing()]; };
    const bool in_time = moved.wait_for(lock, deadline, [&] { return ready() || lost(); });
    if (ready()) return;
    if (failure.empty()) {
      const int rank = missing();
      failure = in_time
                    ? str(where, " waits for a call that rank ", rank, " never made", report())
                    : str(where, " has waited ", deadline.count(), " s for rank ", rank, report());
      moved.notify_all();
    }
    fail(ExitCode::kTransient, failure,
         "see what the named ranks did last; every rank of a group makes the same calls in the "
         "same order");
  }
};

class LocalCommunicator final : public Communicator {
 public:
  using State = LocalWorld::State;
  using Group = LocalWorld::Group;

  LocalCommunicator(State& state, Group& group, int rank)
      : Communicator(group.name, rank, static_cast<int>(group.members.size())),
        state_(state),
        group_(group) {}

 private:
  using Finish = std::function<void(const Call&)>;

  struct PendingCall final : Work::Pending {
    PendingCall(LocalCommunicator& owner, std::int64_t call_number, Finish finish_call)
        : state(owner.state_),
          group(owner.group_),
          number(call_number),
          where(owner.where(call_number)),
          finish(std::move(finish_call)) {}

    bool arrived() const {
      return group.calls.at(number).num_arrived == static_cast<int>(group.members.size());
    }

    bool test() override {
      const std::scoped_lock lock(state.mutex);
      return arrived();
    }

    void wait() override {
      std::unique_lock lock(state.mutex);
      Call& call = group.calls.at(number);
      const auto missing = [&] {
        const auto first = std::ranges::find(call.inputs, false, &Input::arrived);
        return group.members[first - call.inputs.begin()];
      };
      state.wait(
          lock, [&] { return arrived(); }, missing, where);
      lock.unlock();
      finish(call);  // All inputs are there and no longer change.
      lock.lock();
      if (++call.num_finished == call.num_arrived) group.calls.erase(number);
    }

    bool may_still_write() const override { return false; }

    State& state;
    Group& group;
    const std::int64_t number;
    const std::string where;
    const Finish finish;
  };

  struct PendingReceives final : Work::Pending {
    struct Receive {
      at::Tensor tensor;
      int sender;
      std::int64_t number;
    };

    PendingReceives(LocalCommunicator& owner, std::vector<Receive> expected, std::string place)
        : state(owner.state_),
          group(owner.group_),
          rank(owner.rank()),
          receives(std::move(expected)),
          where(std::move(place)) {}

    Mailbox& mailbox(const Receive& receive) const {
      return group.mailboxes[{receive.sender, rank}];
    }

    bool test() override {
      const std::scoped_lock lock(state.mutex);
      return std::ranges::all_of(receives, [&](const Receive& receive) {
        return mailbox(receive).messages.contains(receive.number);
      });
    }

    void wait() override {
      std::unique_lock lock(state.mutex);
      for (const Receive& receive : receives) {
        Mailbox& box = mailbox(receive);
        state.wait(
            lock, [&] { return box.messages.contains(receive.number); },
            [&] { return group.members[receive.sender]; }, where);
        const Bytes message = std::move(box.messages.extract(receive.number).mapped());
        CLOZE_CHECK(message.size() == receive.tensor.nbytes(),
                    str(where, ": rank ", receive.sender, " of the group sent ", message.size(),
                        " bytes, ", receive.tensor.nbytes(), " were expected"),
                    "both sides of a transfer have the same size");
        if (!message.empty()) {
          std::memcpy(receive.tensor.mutable_data_ptr(), message.data(), message.size());
        }
      }
    }

    bool may_still_write() const override { return false; }

    State& state;
    Group& group;
    const int rank;
    const std::vector<Receive> receives;
    const std::string where;
  };

  std::string where(std::int64_t number) const {
    return str("rank ", group_.members[rank()], " in ", name(), ", call ", number);
  }

  // Leaves `input` with the group; `finish`, which holds the tensors it writes, runs when all
  // ranks have done so.
  Work join(const std::string& what, Input input, Finish finish) {
    const std::scoped_lock lock(state_.mutex);
    const std::int64_t number = num_calls_++;
    Call& call = group_.calls[number];
    if (call.num_arrived == 0) {
      call.what = what;
      call.inputs.resize(size());
    }
    state_.last_call[group_.members[rank()]] = str(name(), ".", what, ", call ", number);
    CLOZE_CHECK(call.what == what,
                str(where(number), ": this rank makes ", what, " where another made ", call.what),
                "every rank of a group makes the same calls in the same order");
    call.inputs[rank()] = std::move(input);
    if (++call.num_arrived == size()) state_.moved.notify_all();
    return {std::make_unique<PendingCall>(*this, number, std::move(finish)), {}};
  }

  static std::string describe(const char* call, const at::Tensor& tensor) {
    return str(call, " of ", tensor.numel(), " ", tensor.scalar_type());
  }

  // Reduces elements [first, first + output.numel()) of every input.
  static void reduce(const Call& call, at::Tensor& output, std::int64_t first, ReduceOp op) {
    std::vector<const void*> parts;
    for (const Input& input : call.inputs) {
      parts.push_back(input.bytes.data() + first * output.element_size());
    }
    ordered_reduce(output.mutable_data_ptr(), parts, output.numel(), output.scalar_type(), op);
  }

  static std::string name_of(ReduceOp op) { return op == ReduceOp::kSum ? "sum" : "max"; }

  Work do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    return join(str(name_of(op), " ", describe("all_reduce", tensor)), {true, bytes_of(tensor), {}},
                [tensor, op](const Call& call) mutable { reduce(call, tensor, 0, op); });
  }

  Work do_all_gather(at::Tensor output, at::Tensor input) override {
    return join(describe("all_gather", input), {true, bytes_of(input), {}},
                [output](const Call& call) {
                  auto* place = static_cast<std::byte*>(output.mutable_data_ptr());
                  for (const Input& part : call.inputs) {
                    place = std::ranges::copy(part.bytes, place).out;
                  }
                });
  }

  Work do_reduce_scatter(at::Tensor output, at::Tensor input, ReduceOp op) override {
    return join(str(name_of(op), " ", describe("reduce_scatter", input)),
                {true, bytes_of(input), {}}, [output, op, this](const Call& call) mutable {
                  reduce(call, output, output.numel() * rank(), op);
                });
  }

  Work do_all_to_all(at::Tensor output, at::Tensor input, std::span<const std::int64_t> output_rows,
                     std::span<const std::int64_t> input_rows) override {
    const auto row_bytes = [](const at::Tensor& tensor) {
      return c10::multiply_integers(tensor.sizes().slice(1)) * tensor.element_size();
    };
    std::vector<std::int64_t> offsets(size() + 1, 0);
    for (int rank = 0; rank < size(); ++rank) {
      offsets[rank + 1] = offsets[rank] + input_rows[rank] * row_bytes(input);
    }
    std::vector<std::int64_t> expected(output_rows.begin(), output_rows.end());
    for (std::int64_t& bytes : expected) bytes *= row_bytes(output);
    return join(str("all_to_all of ", input.scalar_type()),
                {true, bytes_of(input), std::move(offsets)},
                [output, expected = std::move(expected), this](const Call& call) {
                  auto* place = static_cast<std::byte*>(output.mutable_data_ptr());
                  for (int sender = 0; sender < size(); ++sender) {
                    const Input& part = call.inputs[sender];
                    const std::int64_t first = part.offsets[rank()];
                    const std::int64_t bytes = part.offsets[rank() + 1] - first;
                    CLOZE_CHECK(bytes == expected[sender],
                                str(name(), ".all_to_all: rank ", sender, " sends rank ", rank(),
                                    " ", bytes, " bytes, ", expected[sender], " were expected"),
                                "output_rows[r] here is input_rows[here] on rank r");
                    place = std::copy_n(part.bytes.begin() + first, bytes, place);
                  }
                });
  }

  Work do_broadcast(at::Tensor tensor, int root) override {
    return join(str(describe("broadcast", tensor), " from ", root),
                {true, rank() == root ? bytes_of(tensor) : Bytes{}, {}},
                [tensor, root, this](const Call& call) {
                  if (rank() == root) return;
                  std::ranges::copy(call.inputs[root].bytes,
                                    static_cast<std::byte*>(tensor.mutable_data_ptr()));
                });
  }

  Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) override {
    const std::scoped_lock lock(state_.mutex);
    std::string what = str(name(), ".exchange");
    for (const auto& [tensor, peer] : sends) {
      Mailbox& box = group_.mailboxes[{rank(), peer}];
      what += str(", message ", box.num_sent, " to ", group_.members[peer]);
      box.messages[box.num_sent++] = bytes_of(tensor);
    }
    std::vector<PendingReceives::Receive> expected;
    for (const auto& [tensor, peer] : receives) {
      Mailbox& box = group_.mailboxes[{peer, rank()}];
      what += str(", message ", box.num_expected, " from ", group_.members[peer]);
      expected.push_back({tensor, peer, box.num_expected++});
    }
    state_.last_call[group_.members[rank()]] = what;
    if (!sends.empty()) state_.moved.notify_all();
    if (expected.empty()) return {};  // The messages are copied; nothing to wait for.
    std::string place = str("rank ", group_.members[rank()], " in ", what);
    return {std::make_unique<PendingReceives>(*this, std::move(expected), std::move(place)), {}};
  }

  void do_barrier() override {
    join("barrier", {true, {}, {}}, [](const Call&) {}).wait();
  }

  State& state_;
  Group& group_;
  std::int64_t num_calls_ = 0;  // Collectives only.
};

LocalWorld::LocalWorld(int size, std::chrono::seconds deadline)
    : size_(size), state_(std::make_unique<State>(size, deadline)) {
  CLOZE_CHECK(size >= 1, str("a world of ", size, " ranks"), "give it at least one");
}

LocalWorld::~LocalWorld() = default;

std::vector<int> LocalWorld::everyone() const {
  std::vector<int> ranks(size_);
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

std::unique_ptr<Communicator> LocalWorld::communicator(const std::string& name,
                                                       const std::vector<int>& members,
                                                       int world_rank) {
  const int rank = rank_among(members, world_rank, name);
  for (const int member : members) {
    CLOZE_CHECK(member >= 0 && member < size_ && std::ranges::count(members, member) == 1,
                str(name, ": rank ", member, " of a world of ", size_, " is wrong or named twice"),
                "members are different ranks of the world");
  }
  const std::scoped_lock lock(state_->mutex);
  const int ordinal = state_->num_made[{name, members, world_rank}]++;
  std::unique_ptr<Group>& group = state_->groups[{name, members, ordinal}];
  if (!group) group = std::make_unique<Group>(Group{name, members, {}, {}});
  return std::make_unique<LocalCommunicator>(*state_, *group, rank);
}

void LocalWorld::abort(int world_rank, const std::string& reason) {
  const std::scoped_lock lock(state_->mutex);
  if (state_->failure.empty()) state_->failure = str("rank ", world_rank, " failed: ", reason);
  state_->moved.notify_all();
}

void LocalWorld::leave(int world_rank) {
  const std::scoped_lock lock(state_->mutex);
  state_->gone[world_rank] = true;
  state_->moved.notify_all();
}

}  // namespace cloze
