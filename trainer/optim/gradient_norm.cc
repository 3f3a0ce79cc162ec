#include "trainer/optim/gradient_norm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

constexpr std::int64_t kSitesOfLayer = 32;  // More than any layer has; see trainer/model/sites.h.

// `place`: where the sum goes, of the gradient's device.
void write_squares(const at::Tensor& gradient, const OwnedRows& piece, const Kernels& kernels,
                   double* place) {
  with_type(gradient.scalar_type(), [&]<typename T>() {
    kernels.of<T>().sum_of_squares(data_of<const T>(gradient) + piece.shard_offset, piece.elements,
                                   place);
  });
}

}  // namespace

double gradient_norm(const ParameterTable& table, const std::vector<UpdateShard>& shards,
                     Communicator& data, Communicator& model, const Communicator& tensor,
                     std::int64_t num_layers, const Kernels& kernels) {
  const std::vector<const Parameter*> parameters = table.owned();
  const auto count = static_cast<std::int64_t>(parameters.size());
  std::map<const Parameter*, std::int64_t> index;
  for (std::int64_t i = 0; i < count; ++i) index[parameters[static_cast<std::size_t>(i)]] = i;

  const at::Tensor mine = at::zeros({count}, shards.front().gradient.options().dtype(at::kDouble));
  for (const UpdateShard& shard : shards) {
    for (const OwnedRows& piece : shard.owned) {
      write_squares(shard.gradient, piece, kernels,
                    mine.mutable_data_ptr<double>() + index.at(piece.parameter));
    }
  }
  const at::Tensor by_rank = at::empty({data.size() * count}, at::kDouble);
  data.all_gather(by_rank, mine.cpu()).wait();  // Of a device, the one wait for all of them.

  // One slot for every parameter of the model and tensor rank; one rank fills each.
  const at::Tensor slots =
      at::zeros({(num_layers + 1) * kSitesOfLayer * tensor.size()}, at::kDouble);
  for (std::int64_t i = 0; i < count; ++i) {
    const ParameterSpec& spec = parameters[static_cast<std::size_t>(i)]->spec;
    if (!spec.first_replica) continue;
    CLOZE_CHECK(spec.site < kSitesOfLayer, str(spec.name, " has site ", spec.site),
                "raise kSitesOfLayer");
    double sum = 0;
    for (int rank = 0; rank < data.size(); ++rank) {
      sum += by_rank.data_ptr<double>()[rank * count + i];
    }
    const std::int64_t slot =
        (static_cast<std::int64_t>(spec.layer) * kSitesOfLayer + spec.site) * tensor.size() +
        tensor.rank();
    slots.data_ptr<double>()[slot] = sum;
  }
  model.all_reduce(slots, ReduceOp::kSum).wait();
  double total = 0;
  for (std::int64_t slot = 0; slot < slots.numel(); ++slot) total += slots.data_ptr<double>()[slot];
  return std::sqrt(total);
}

double clip_factor(double norm, double limit) {
  if (limit <= 0) return 1;
  return std::min(1.0, limit / (norm + 1e-6));
}

}  // namespace cloze
