// Fibers for the threads of a block, switched by hand.
#include "parallel/kernels/cuda/emulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "parallel/kernels/cuda/shared_memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Saves the registers that a call keeps and the stack pointer to *save; goes on with the stack
// `to`, which was saved so.
extern "C" void cloze_switch_fiber(void** save, void* to);
asm(R"(
.text
.globl cloze_switch_fiber
.type cloze_switch_fiber, @function
cloze_switch_fiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cloze_switch_fiber, . - cloze_switch_fiber
)");

namespace cloze::cuda::emulator {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} * 1024;
constexpr unsigned kLargestGridYZ = 65535;

enum class Wait : std::uint8_t { kNone, kWarp, kBlock, kEnded };

struct Copy {
  void* to;
  const void* from;
};

struct Fiber {
  Place place;
  std::unique_ptr<unsigned char[]> stack;
  void* saved = nullptr;
  Wait wait = Wait::kNone;
  int line = 0;              // Of the barrier.
  unsigned turns = 0;        // Exchanges done.
  std::vector<Copy> copies;  // Started.
};

// Two generations of each lane's bytes: a lane that runs ahead writes the other one.
struct Warp {
  unsigned char bytes[2][kWarp][kExchangeBytes];
  unsigned arrived = 0;
};

struct Machine {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<unsigned> ready;
  std::unique_ptr<unsigned char[]> shared;
  const std::function<void()>* thread = nullptr;
  void* scheduler = nullptr;  // Its saved stack.
  const void* scheduler_stack = nullptr;
  std::size_t scheduler_stack_bytes = 0;
  unsigned current = 0;
  unsigned size = 0;  // Threads of the block.
  unsigned at_block_barrier = 0;
  unsigned ended = 0;
  std::uint64_t blocks = 0;
  std::uint64_t seed = 0;
  std::uint64_t random = 1;
  bool only_last_block = false;
  std::size_t shared_of_gpu = kSharedOfEveryGpu;
  std::size_t shared_of_last_launch = 0;
};

Machine& machine() {
  static thread_local Machine instance;
  return instance;
}

[[noreturn]] void stop(const char* why, int line) {
  std::fprintf(stderr, "kernel emulator: %s (line %d)\n", why, line);
  std::abort();
}

void enter_fiber(Machine& m, Fiber& fiber) {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, fiber.stack.get(), kStackBytes);
#endif
  cloze_switch_fiber(&m.scheduler, fiber.saved);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void leave_fiber(Machine& m, Fiber& fiber) {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(fiber.wait == Wait::kEnded ? nullptr : &fake, m.scheduler_stack,
                                 m.scheduler_stack_bytes);
#endif
  cloze_switch_fiber(&fiber.saved, m.scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, &m.scheduler_stack, &m.scheduler_stack_bytes);
#endif
}

// The first frame of a fiber.
void fiber_main() {
  Machine& m = machine();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_stack_bytes);
#endif
  (*m.thread)();
  Fiber& fiber = m.fibers[m.current];
  if (!fiber.copies.empty()) stop("a thread ended and did not wait for its copies", 0);
  fiber.wait = Wait::kEnded;
  leave_fiber(m, fiber);
  stop("an ended thread ran on", 0);
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) fiber.stack.reset(new unsigned char[kStackBytes]);
  auto top = reinterpret_cast<std::uintptr_t>(fiber.stack.get()) + kStackBytes;
  top -= top % 16;
  auto* words = reinterpret_cast<std::uintptr_t*>(top);
  words[-1] = 0;                                              // Where fiber_main would return to.
  words[-2] = reinterpret_cast<std::uintptr_t>(&fiber_main);  // Where the switch returns to.
  for (int i = 3; i <= 8; ++i) words[-i] = 0;                 // The registers.
  fiber.saved = words - 8;
  fiber.wait = Wait::kNone;
  fiber.turns = 0;
}

unsigned next_ready(Machine& m) {
  std::size_t at = 0;
  if (m.seed != 0) {
    m.random = m.random * 6364136223846793005ULL + 1442695040888963407ULL;
    at = (m.random >> 33) % m.ready.size();
    std::swap(m.ready[at], m.ready.back());
  }
  const unsigned chosen = m.ready.back();
  m.ready.pop_back();
  return chosen;
}

void release_block(Machine& m) {
  const int line = m.fibers[0].line;
  for (unsigned i = m.size; i-- > 0;) {
    if (m.fibers[i].line != line) stop("threads wait at two barriers of the block", line);
    m.ready.push_back(i);
  }
  m.at_block_barrier = 0;
}

void run_block(Machine& m) {
  m.ready.clear();
  m.at_block_barrier = m.ended = 0;
  for (Warp& warp : m.warps) warp.arrived = 0;
  for (unsigned i = m.size; i-- > 0;) {
    prepare(m.fibers[i]);
    m.ready.push_back(i);
  }
  while (m.ended < m.size) {
    if (m.ready.empty()) {
      if (m.at_block_barrier != m.size) stop("threads wait for others that ended or diverged", 0);
      release_block(m);
    }
    m.current = next_ready(m);
    Fiber& fiber = m.fibers[m.current];
    enter_fiber(m, fiber);
    if (fiber.wait == Wait::kEnded) ++m.ended;
    if (fiber.wait == Wait::kBlock) ++m.at_block_barrier;
    if (fiber.wait != Wait::kWarp) continue;
    const unsigned first = m.current / kWarp * kWarp;
    if (++m.warps[m.current / kWarp].arrived < kWarp) continue;
    m.warps[m.current / kWarp].arrived = 0;
    for (unsigned lane = 0; lane < kWarp; ++lane) m.ready.push_back(first + lane);
  }
}

}  // namespace

const Place& place() { return machine().fibers[machine().current].place; }

void set_seed(std::uint64_t seed) {
  machine().seed = seed;
  machine().random = seed;
}

void only_last_block(bool only) { machine().only_last_block = only; }

void set_shared_of_gpu(std::size_t bytes) { machine().shared_of_gpu = bytes; }

std::size_t shared_of_gpu() { return machine().shared_of_gpu; }

std::size_t shared_of_last_launch() { return machine().shared_of_last_launch; }

void block_barrier(int line) {
  Fiber& fiber = machine().fibers[machine().current];
  fiber.wait = Wait::kBlock;
  fiber.line = line;
  leave_fiber(machine(), fiber);
}

const unsigned char* exchange(const void* mine, std::size_t size) {
  Machine& m = machine();
  const unsigned thread = m.current;
  Fiber& fiber = m.fibers[thread];
  auto& generation = m.warps[thread / kWarp].bytes[fiber.turns++ % 2];
  if (size > kExchangeBytes) stop("an exchange of too many bytes", 0);
  if (size > 0) std::memcpy(generation[thread % kWarp], mine, size);
  fiber.wait = Wait::kWarp;
  leave_fiber(m, fiber);
  return generation[0];
}

void start_copy(void* to, const void* from) {
  machine().fibers[machine().current].copies.push_back({to, from});
}

void wait_copies() {
  constexpr std::size_t kBytes = 16;
  std::vector<Copy>& copies = machine().fibers[machine().current].copies;
  for (const Copy& copy : copies) {
    if (copy.from == nullptr) {
      std::memset(copy.to, 0, kBytes);
    } else {
      std::memcpy(copy.to, copy.from, kBytes);
    }
  }
  copies.clear();
}

unsigned char* dynamic_shared() { return machine().shared.get(); }

std::uint64_t block_number() { return machine().blocks; }

void launch(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& thread) {
  Machine& m = machine();
  if (block.x % kWarp != 0 || block.x == 0 || block.x > 1024 || block.y != 1 || block.z != 1) {
    stop("a block is not 1 to 32 whole warps", static_cast<int>(block.x));
  }
  if (grid.x == 0 || grid.x > 0x7fffffffU || grid.y == 0 || grid.y > kLargestGridYZ ||
      grid.z == 0 || grid.z > kLargestGridYZ) {
    stop("a grid beyond a GPU's limits", static_cast<int>(grid.x));
  }
  if (shared_bytes > m.shared_of_gpu) {
    stop("more shared memory than the GPU has", static_cast<int>(shared_bytes));
  }
  m.shared_of_last_launch = shared_bytes;
  m.thread = &thread;
  m.size = block.x;
  if (m.fibers.size() < m.size) m.fibers.resize(m.size);
  m.warps.resize(m.size / kWarp);
  m.shared.reset(new unsigned char[shared_bytes]);
  const dim3 first = m.only_last_block ? dim3(grid.x - 1, grid.y - 1, grid.z - 1) : dim3(0, 0, 0);
  for (unsigned z = first.z; z < grid.z; ++z) {
    for (unsigned y = first.y; y < grid.y; ++y) {
      for (unsigned x = first.x; x < grid.x; ++x) {
        ++m.blocks;
        std::memset(m.shared.get(), 0xff, shared_bytes);
        for (unsigned i = 0; i < m.size; ++i) {
          m.fibers[i].place = {dim3(i), dim3(x, y, z), block, grid};
        }
        run_block(m);
      }
    }
  }
}

}  // namespace cloze::cuda::emulator
