// The stream that a kernel is queued on, without CUDA's headers: a cudaStream_t is one.
#pragma once

struct CUstream_st;

namespace cloze::cuda {

using Stream = CUstream_st*;  // Null: the default stream.

}  // namespace cloze::cuda
