#include "parallel/pass/product.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

bool is_on_tiles(const Kernels& kernels, at::ScalarType type, const ProductShape& shape) {
  return kernels.uses_tiles && type == at::kFloat && fills_tiles(shape);
}

ProductShape shape_of(const at::Tensor& a, const at::Tensor& b) {
  return {.rows = a.size(0), .columns = b.size(1), .depth = a.size(1)};
}

FloatMatrix matrix_of(const at::Tensor& tensor) {
  CLOZE_CHECK(tensor.stride(0) == 1 || tensor.stride(1) == 1,
              "a product's factor is contiguous neither by rows nor by columns",
              "pass a tensor or its transposed view");
  return {.data = data_of<const float>(tensor),
          .row_stride = tensor.stride(0),
          .column_stride = tensor.stride(1)};
}

void multiply_on_tiles(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, bool add,
                       const at::Tensor& workspace) {
  CLOZE_CHECK(a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat &&
                  c.scalar_type() == at::kFloat,
              "a product on tiles of something else than fp32",
              "give it two fp32 factors and an fp32 result");
  CLOZE_CHECK(c.size(0) == a.size(0) && c.size(1) == b.size(1) && c.stride(1) == 1 &&
                  a.size(1) == b.size(0),
              "a product does not fit its factors", "give it [rows, columns]");
  const ProductShape shape = shape_of(a, b);
  const std::int64_t bytes = tile_product_workspace(shape);
  CLOZE_CHECK(!workspace.defined() || static_cast<std::int64_t>(workspace.nbytes()) >= bytes,
              "a product's workspace is too small", "give it product_workspace() bytes");
  const at::Tensor place =
      workspace.defined() ? workspace : at::empty({bytes}, a.options().dtype(at::kByte));
  tile_product(shape, matrix_of(a), matrix_of(b), data_of<float>(c), c.stride(0), add,
               place.mutable_data_ptr());
}

}  // namespace

at::Tensor product(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b) {
  at::Tensor c = at::empty({a.size(0), b.size(1)}, a.options());
  product_out(kernels, a, b, c);
  return c;
}

void product_out(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b, at::Tensor& c,
                 const at::Tensor& workspace) {
  if (is_on_tiles(kernels, a.scalar_type(), shape_of(a, b))) {
    multiply_on_tiles(a, b, c, /*add=*/false, workspace);
  } else {
    at::mm_out(c, a, b);
  }
}

void add_product(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b, at::Tensor& sum,
                 const at::Tensor& workspace) {
  if (a.scalar_type() != sum.scalar_type() && !sum.is_cpu()) {
    at::addmm_out(sum, sum, a, b, sum.scalar_type());
    return;
  }
  // Products on the CPU take one type: 16-bit factors are widened, so that the sum is.
  const at::Tensor wide_a = a.to(sum.scalar_type());
  const at::Tensor wide_b = b.to(sum.scalar_type());
  if (is_on_tiles(kernels, sum.scalar_type(), shape_of(a, b))) {
    multiply_on_tiles(wide_a, wide_b, sum, /*add=*/true, workspace);
  } else {
    at::addmm_out(sum, sum, wide_a, wide_b);
  }
}

std::int64_t product_workspace(const Kernels& kernels, at::ScalarType type,
                               const ProductShape& shape) {
  return is_on_tiles(kernels, type, shape) ? tile_product_workspace(shape) : 0;
}

}  // namespace cloze
