// Where a model's weights come from: a checkpoint of ours, or a model folder of another program.
// Who builds a model asks for boxes of tensors by our names and does not see the files.
#pragma once

#include <string>
#include <string_view>

#include "parallel/base/dtype.h"
#include "parallel/mesh/shard.h"

namespace cloze {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual bool has(std::string_view name) const = 0;
  // Of the whole tensor; kBadInput when there is none of that name.
  virtual Shape shape(std::string_view name) const = 0;
  // The element type it is stored in.
  virtual DType dtype(std::string_view name) const = 0;
  // Fills `out` with the elements of `box`, row-major, as `dtype`. Floating types are converted
  // (to nearest even); other types must match. A missing tensor or another global shape is
  // kBadInput.
  virtual void read(const std::string& name, const Box& box, DType dtype, void* out) const = 0;

 protected:
  WeightSource() = default;
  WeightSource(const WeightSource&) = default;
  WeightSource(WeightSource&&) noexcept = default;
  WeightSource& operator=(const WeightSource&) = default;
  WeightSource& operator=(WeightSource&&) noexcept = default;
};

}  // namespace cloze
