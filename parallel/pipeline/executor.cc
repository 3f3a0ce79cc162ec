#include "parallel/pipeline/executor.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// Tensors that arrive from one neighbour, in the order of its actions.
class Inbox {
 public:
  Inbox(Communicator& group, int sender) : group_(group), sender_(sender) {}

  void post(std::vector<at::Tensor> tensors) {
    std::vector<Transfer> receives;
    for (const at::Tensor& tensor : tensors) receives.push_back({tensor, sender_});
    arriving_.push_back({group_.exchange({}, receives), std::move(tensors)});
  }

  std::vector<at::Tensor> take() {
    Arrival& first = arriving_.front();
    first.work.wait();
    std::vector<at::Tensor> tensors = std::move(first.tensors);
    arriving_.pop_front();
    return tensors;
  }

  void poll() {
    for (Arrival& arrival : arriving_) (void)arrival.work.test();
  }

 private:
  struct Arrival {
    Work work;
    std::vector<at::Tensor> tensors;
  };

  Communicator& group_;
  const int sender_;
  std::deque<Arrival> arriving_;
};

// Tensors on their way to the neighbours; each is let go as soon as it has left.
class Outbox {
 public:
  void send(Communicator& group, int receiver, const std::vector<at::Tensor>& tensors) {
    std::vector<Transfer> sends;
    for (const at::Tensor& tensor : tensors) sends.push_back({tensor.contiguous(), receiver});
    leaving_.push_back(group.exchange(sends, {}));
  }

  void poll() {
    leaving_.remove_if([](Work& work) {
      if (!work.test()) return false;
      work.wait();
      return true;
    });
  }

  void wait() {
    for (Work& work : leaving_) work.wait();
    leaving_.clear();
  }

 private:
  std::list<Work> leaving_;
};

class Executor {
 public:
  Executor(const Schedule& schedule, int rank, Stage& stage, Communicator& forward_direction,
           Communicator& backward_direction, Trace* trace)
      : actions_(schedule.ranks.at(rank)),
        rank_(rank),
        is_first_(rank == 0),
        is_last_(rank + 1 == schedule.num_stages),
        stage_(stage),
        forward_direction_(forward_direction),
        backward_direction_(backward_direction),
        trace_(trace),
        inputs_(forward_direction, rank - 1),
        gradients_(backward_direction, rank + 1) {
    for (const PipelineAction& action : actions_) {
      CLOZE_CHECK(action.stage == rank,
                  str("pipeline rank ", rank, " is told to run stage ", action.stage),
                  "use a schedule with one stage per rank");
      CLOZE_CHECK(action.kind == ActionKind::kForward || action.kind == ActionKind::kBackward,
                  "this schedule splits the backward pass, which a Stage does not",
                  "use gpipe or one_f_one_b");
    }
    if (is_first_ && is_last_) return;  // Nothing crosses.
    for (const at::Tensor& tensor : stage.make_border()) {
      border_.emplace_back(tensor.sizes().vec(), tensor.scalar_type());
    }
  }

  void run() {
    for (std::size_t i = 0; i < actions_.size(); ++i) {
      // The receive of the next action, too: it comes in while this one computes.
      post_receives(i + (is_turn(i) ? 1 : 2));
      run_one(actions_[i]);
      poll();
    }
    outbox_.wait();
  }

 private:
  // Where the input of `action` comes from; none when it is made here.
  Inbox* inbox_of(const PipelineAction& action) {
    if (action.kind == ActionKind::kForward) return is_first_ ? nullptr : &inputs_;
    return is_last_ ? nullptr : &gradients_;
  }

  // Whether a backward follows this forward. Its gradient is asked for only when the activations
  // have been sent: the neighbour asks for those before it sends the gradient. With one order of
  // the transfers between two stages, a device that has room for but one of them at a time, of
  // whichever communicator, still gets on.
  bool is_turn(std::size_t i) const {
    return i + 1 < actions_.size() && actions_[i].kind == ActionKind::kForward &&
           actions_[i + 1].kind == ActionKind::kBackward;
  }

  // Of the actions before `end`.
  void post_receives(std::size_t end) {
    for (; num_posted_ < std::min(end, actions_.size()); ++num_posted_) {
      if (Inbox* inbox = inbox_of(actions_[num_posted_])) inbox->post(stage_.make_border());
    }
  }

  std::vector<at::Tensor> take_input(const PipelineAction& action) {
    Inbox* inbox = inbox_of(action);
    return inbox == nullptr ? std::vector<at::Tensor>{} : inbox->take();
  }

  void run_one(const PipelineAction& action) {
    std::vector<at::Tensor> input = take_input(action);
    if (action.kind == ActionKind::kForward) {
      const auto output = forward(action, std::move(input));
      check_border(output, is_last_, action);
      if (!is_last_) outbox_.send(forward_direction_, rank_ + 1, output);
    } else {
      const auto gradient = backward(action, std::move(input));
      check_border(gradient, is_first_, action);
      if (!is_first_) outbox_.send(backward_direction_, rank_ - 1, gradient);
    }
  }

  std::vector<at::Tensor> forward(const PipelineAction& action, std::vector<at::Tensor> input) {
    const TraceSpan span(trace_, "forward", details_of(action));
    return stage_.forward(action.microbatch, std::move(input));
  }

  std::vector<at::Tensor> backward(const PipelineAction& action, std::vector<at::Tensor> gradient) {
    const TraceSpan span(trace_, "backward", details_of(action));
    return stage_.backward(action.microbatch, std::move(gradient));
  }

  static TraceDetails details_of(const PipelineAction& action) {
    return {.stage = action.stage, .microbatch = action.microbatch};
  }

  // What leaves a stage must be what the neighbour has made room for; nothing leaves at the ends.
  void check_border(const std::vector<at::Tensor>& tensors, bool is_end,
                    const PipelineAction& action) const {
    const auto what = [&] {
      return str("stage ", rank_, ", ",
                 action.kind == ActionKind::kForward ? "forward" : "backward", " of microbatch ",
                 action.microbatch);
    };
    const std::size_t expected = is_end ? 0 : border_.size();
    CLOZE_CHECK(tensors.size() == expected,
                str(what(), ": ", tensors.size(), " tensors leave, ", expected, " cross here"),
                "return what make_border() lists, in its order; nothing at the ends");
    for (std::size_t i = 0; i < expected; ++i) {
      const auto& [sizes, dtype] = border_[i];
      CLOZE_CHECK(tensors[i].sizes() == sizes && tensors[i].scalar_type() == dtype,
                  str(what(), ": tensor ", i, " is ", tensors[i].scalar_type(), tensors[i].sizes(),
                      ", the border ", dtype, at::IntArrayRef(sizes)),
                  "return what make_border() lists");
    }
  }

  void poll() {
    inputs_.poll();
    gradients_.poll();
    outbox_.poll();
  }

  const std::vector<PipelineAction>& actions_;
  const int rank_;
  const bool is_first_;
  const bool is_last_;
  Stage& stage_;
  Communicator& forward_direction_;
  Communicator& backward_direction_;
  Trace* const trace_;
  Inbox inputs_;
  Inbox gradients_;
  Outbox outbox_;
  std::vector<std::pair<std::vector<std::int64_t>, at::ScalarType>> border_;
  std::size_t num_posted_ = 0;  // Actions whose receive is posted.
};

}  // namespace

void run_schedule(const Schedule& schedule, int pipeline_rank, Stage& stage,
                  Communicator& forward_direction, Communicator& backward_direction, Trace* trace) {
  for (const Communicator* group : {&forward_direction, &backward_direction}) {
    CLOZE_CHECK(
        group->size() == schedule.num_stages && group->rank() == pipeline_rank,
        str("group ", group->name(), " has ", group->size(), " ranks and this is ", group->rank(),
            "; the schedule has ", schedule.num_stages, " stages and this is ", pipeline_rank),
        "make the schedule for the size of the pipeline group");
  }
  Executor(schedule, pipeline_rank, stage, forward_direction, backward_direction, trace).run();
}

}  // namespace cloze
