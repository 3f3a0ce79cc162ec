// Weights on their way from a file to a device: some rows at a time through pinned memory, which
// travel while the next are read.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "parallel/pass/device_writer.h"
#include "trainer/checkpoint/weight_source.h"

namespace cloze {

// Fills `elements` [elements of `box`], memory of the writer's device, with what `source` has of
// `name` there, as WeightSource::read() would; at most `staged_bytes` are pinned for a read, or one
// row.
void read_staged(const WeightSource& source, const std::string& name, const Box& box,
                 const at::Tensor& elements, const DeviceWriter& writer,
                 std::int64_t staged_bytes = 16 << 20);

}  // namespace cloze
