// Runs one rank's part of a pipeline schedule: the stage computes, the executor moves tensors.
//
// Sends are posted and kept until they are done, receives are posted one action ahead, so that
// transfers run behind the computation of the action before them; all but those of a backward after
// a forward, so that two stages post what they exchange in the same order.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/schedule/schedule.h"
#include "parallel/trace/trace.h"

namespace cloze {

// What the pipeline knows of a model's stage: a fixed list of tensors goes in and out.
class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  // Fresh, uninitialised tensors to receive into: shape and dtype of everything that crosses a
  // stage border, the same for every microbatch and border. Gradients have the same shapes.
  virtual std::vector<at::Tensor> make_border() = 0;

  // `input` is empty on the first stage. Returns what crosses to the next stage; on the last
  // stage nothing.
  virtual std::vector<at::Tensor> forward(int microbatch, std::vector<at::Tensor> input) = 0;

  // `output_gradient` is empty on the last stage. Returns the gradient of what forward was
  // given; on the first stage nothing.
  virtual std::vector<at::Tensor> backward(int microbatch,
                                           std::vector<at::Tensor> output_gradient) = 0;
};

// Does schedule.ranks[pipeline_rank], one stage per rank, of a schedule that simulate() accepts.
// The two communicators hold the same ranks, the stages in order: activations travel over the one,
// gradients over the other. All transfers of this rank are done on return. A trace tells of each
// forward and backward.
void run_schedule(const Schedule& schedule, int pipeline_rank, Stage& stage,
                  Communicator& forward_direction, Communicator& backward_direction,
                  Trace* trace = nullptr);

}  // namespace cloze
