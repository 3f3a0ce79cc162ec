#include "parallel/pass/key_value_cache.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"

namespace cloze {

at::Tensor KeyValueCache::append(std::uint32_t layer, const at::Tensor& rows) {
  const std::int64_t end = size_ + rows.size(0);
  CLOZE_CHECK(end <= capacity_, str(end, " tokens do not fit a cache of ", capacity_),
              "make the cache as long as the text may become");
  if (layers_.size() <= layer) layers_.resize(layer + 1);
  at::Tensor& all = layers_[layer];
  if (!all.defined()) all = at::empty({capacity_, rows.size(1)}, rows.options());
  all.narrow(0, size_, rows.size(0)).copy_(rows);
  return all.narrow(0, 0, end);
}

void KeyValueCache::advance(std::int64_t tokens) { size_ += tokens; }

}  // namespace cloze
