// The norm of the whole model's gradient, each parameter counted once, the same bits on every
// rank and at every pipeline degree, bucket size and stage of ZeRO.
#pragma once

#include "parallel/comm/communicator.h"
#include "parallel/data_parallel/gradient_reducer.h"
#include "parallel/kernels/kernels.h"

namespace cloze {

// The square root of the sum of squares of all summed gradients; not finite when any is not.
// Boxes are summed in double, then added in one order: data ranks, tensor ranks, parameters.
// `kernels` are those of the device that holds the gradients. `data` and `model`, the ranks of one
// replica, carry numbers of the host; `tensor` is this rank's place in it.
double gradient_norm(const ParameterTable& table, const std::vector<UpdateShard>& shards,
                     Communicator& data, Communicator& model, const Communicator& tensor,
                     std::int64_t num_layers, const Kernels& kernels);

// The factor that brings a gradient of norm `norm` to at most `limit`; 1 when limit is 0.
double clip_factor(double norm, double limit);

}  // namespace cloze
