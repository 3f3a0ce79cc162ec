// fp32 matrix products on the tile unit of x86 processors (AMX), which multiplies bfloat16 only and
// sums in fp32: each number is split into three bfloat16 parts that hold all of its 24 bits, and of
// the nine products of parts the six that reach the last bit of fp32 are summed (Henry, Tang,
// Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
// Computations, 2019). Sums of 256 products start from zero and are then added up, so that the
// error is below that of a plain fp32 product.
//
// Where it differs from IEEE arithmetic: parts and sums below 2^-126 count as zero, so that numbers
// and products below 2^-102 lose low bits, and numbers of 2^112 and more give NaN, as infinities
// do.
#pragma once

#include <cstdint>

namespace cloze {

// Whether this processor has tiles for bfloat16 and the system lets this process use them. Asks
// the system at the first call, for all threads.
bool has_tile_unit();

// Of c [rows, columns] = a [rows, depth] b [depth, columns].
struct ProductShape {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};

// Element (i, j) is data[i * row_stride + j * column_stride]; one of the strides is 1.
struct FloatMatrix {
  const float* data;
  std::int64_t row_stride;
  std::int64_t column_stride;
};

// Whether tiles take less time than a library's product of this shape.
bool fills_tiles(const ProductShape& shape);

// Bytes that tile_product() needs meanwhile, with the threads that a call now would have. A shape
// that is smaller in some dimension and larger in none needs no more.
std::int64_t tile_product_workspace(const ProductShape& shape);

// c[i * c_stride + j] = (a b)[i][j], added to what is there when `add`. `workspace` is on a
// boundary of 64 bytes. An element's bits depend on its row of a, its column of b and the depth
// alone: not on the shape, nor on the number of threads.
void tile_product(const ProductShape& shape, const FloatMatrix& a, const FloatMatrix& b, float* c,
                  std::int64_t c_stride, bool add, void* workspace);

}  // namespace cloze
