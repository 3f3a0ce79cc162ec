// Runs kernels on the CPU, so that they can be tested without a GPU. One fiber is one CUDA
// thread; blocks run one after another; a barrier lets the other fibers run until all have
// arrived; a shuffle is a barrier of the warp. Fibers run in an order that a seed shuffles, and
// shared memory starts as NaN. This finds wrong indices, forgotten tails, missing barriers and
// threads that wait for others in vain; it does not find what only the memory model of a GPU
// allows, launch limits or slowness.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

namespace cloze::cuda {

// NOLINTNEXTLINE(readability-identifier-naming): CUDA's name.
struct dim3 {
  // NOLINTNEXTLINE(google-explicit-constructor): as CUDA's.
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
      : x(x_size), y(y_size), z(z_size) {}
  unsigned x;
  unsigned y;
  unsigned z;
};

namespace emulator {

constexpr unsigned kWarp = 32;
constexpr std::size_t kExchangeBytes = 64;  // Of a lane.

struct Place {
  dim3 thread;
  dim3 block;
  dim3 block_size;
  dim3 grid_size;
};

// Where the running thread stands.
const Place& place();

// Order of the threads of all later launches; 0: as they are numbered.
void set_seed(std::uint64_t seed);

// Of the grids of all later launches only the last block runs: the one with the largest indices.
void only_last_block(bool only);

// What a block may have on the GPU that later launches are for: kSharedOfEveryGpu, if not set.
void set_shared_of_gpu(std::size_t bytes);
std::size_t shared_of_gpu();
// Bytes of dynamic shared memory that the last launch asked for.
std::size_t shared_of_last_launch();

void block_barrier(int line);

// Gives `size` bytes of this lane to its warp; returns those of lane 0, lane i's lie at
// i * kExchangeBytes, valid until the next but one exchange.
const unsigned char* exchange(const void* mine, std::size_t size);

// Copies 16 bytes, or zeros where `from` is null: not before this thread calls wait_copies(), as
// late as a GPU may.
void start_copy(void* to, const void* from);
void wait_copies();

unsigned char* dynamic_shared();

// Numbers the blocks of all launches.
std::uint64_t block_number();

void launch(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread);

template <class Kernel, class... Arguments>
void run(dim3 grid, dim3 block, std::size_t shared_bytes, Kernel kernel,
         const Arguments&... arguments) {
  launch(grid, block, shared_bytes, [&] { kernel(arguments...); });
}

// Memory that the threads of a block share; a new block finds NaNs.
template <class T, std::size_t kCount>
class SharedArray {
 public:
  T* of_block() {
    if (block_ != block_number()) {
      block_ = block_number();
      std::memset(static_cast<void*>(memory_), 0xff, sizeof(memory_));
    }
    return memory_;
  }

 private:
  alignas(16) T memory_[kCount];
  std::uint64_t block_ = 0;
};

}  // namespace emulator

// NOLINTBEGIN(bugprone-reserved-identifier): CUDA's names.
template <class T>
T __shfl_sync(unsigned /*mask*/, T value, unsigned lane) {
  const unsigned char* all = emulator::exchange(&value, sizeof(T));
  std::memcpy(&value, all + lane % emulator::kWarp * emulator::kExchangeBytes, sizeof(T));
  return value;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned bits) {
  return __shfl_sync(mask, value, (emulator::place().thread.x % emulator::kWarp) ^ bits);
}

inline unsigned __ballot_sync(unsigned /*mask*/, bool vote) {
  const unsigned char* all = emulator::exchange(&vote, sizeof(bool));
  unsigned votes = 0;
  for (unsigned lane = 0; lane < emulator::kWarp; ++lane) {
    votes |= static_cast<unsigned>(all[lane * emulator::kExchangeBytes] != 0) << lane;
  }
  return votes;
}
// NOLINTEND(bugprone-reserved-identifier)

}  // namespace cloze::cuda
