// Matrix products of tensors, by what the device's kernels use for them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "parallel/kernels/kernels.h"

namespace cloze {

// `workspace` has product_workspace() bytes for a shape that is nowhere smaller; they are made for
// the call where it is not given.

// a b of a [rows, depth] and b [depth, columns], which may be transposed views.
at::Tensor product(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b);
// The same into c [rows, columns], whose rows are contiguous.
void product_out(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b, at::Tensor& c,
                 const at::Tensor& workspace = {});
// Adds a b to `sum`, which is of accumulator_of() the factors' type.
void add_product(const Kernels& kernels, const at::Tensor& a, const at::Tensor& b, at::Tensor& sum,
                 const at::Tensor& workspace = {});

// Bytes that a product of factors of `type` holds meanwhile, those of the library left out.
std::int64_t product_workspace(const Kernels& kernels, at::ScalarType type,
                               const ProductShape& shape);

}  // namespace cloze
