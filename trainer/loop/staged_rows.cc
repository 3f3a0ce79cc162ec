#include "trainer/loop/staged_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "parallel/pass/dtype_dispatch.h"

namespace cloze {

void read_staged(const WeightSource& source, const std::string& name, const Box& box,
                 const at::Tensor& elements, const DeviceWriter& writer,
                 std::int64_t staged_bytes) {
  const DType dtype = dtype_of(elements.scalar_type());
  const at::Tensor bytes = elements.view(at::kByte);
  if (bytes.numel() == 0) {
    source.read(name, box, dtype, nullptr);  // Which finds a missing tensor all the same.
    return;
  }
  const std::int64_t rows = box.shape.front();
  const std::int64_t row_bytes = bytes.numel() / rows;
  const std::int64_t at_once = std::max<std::int64_t>(1, staged_bytes / row_bytes);
  for (std::int64_t first = 0; first < rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows - first);
    const at::Tensor host = DeviceWriter::staging(count * row_bytes);
    source.read(name, box.rows(first, count), dtype, host.mutable_data_ptr());
    writer.write(host, bytes.narrow(0, first * row_bytes, count * row_bytes));
  }
}

}  // namespace cloze
