// The memory of one pipeline stage's forward and backward passes, by running their allocations and
// nothing else. Mirrors trainer/model/ and parallel/tensor/ call by call, and of a sum over tensor
// ranks the buffer that MpiCommunicator keeps, or what another one holds meanwhile. A layer's
// gradients count as complete at its end.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "parallel/kernels/kernels.h"
#include "trainer/model/block.h"
#include "trainer/plan/allocation_tape.h"

namespace cloze {

// Numbers of elements on one rank; bytes where the name says so.
struct StageSizes {
  std::int64_t tokens = 0;        // Of a microbatch, padding included.
  std::int64_t local_tokens = 0;  // Outside of the linear layers.
  std::int64_t hidden = 0;
  std::int64_t qkv = 0;        // Features of q|k|v.
  std::int64_t attention = 0;  // Features of the heads' outputs.
  std::int64_t heads = 0;
  std::int64_t attention_workspace = 0;  // Elements that its backward pass needs meanwhile.
  std::int64_t inner = 0;                // Features of gate|up, or of up.
  std::int64_t activated = 0;            // Features of the feed-forward layer's activation.
  std::int64_t vocab = 0;
  std::int64_t layers = 0;
  std::int64_t element_bytes = 4;
  std::int64_t accumulator_bytes = 4;
  bool first = true;         // Has the embedding.
  bool last = true;          // Has the head.
  bool sums = false;         // Over tensor ranks.
  bool gathers = false;      // Tokens are cut over tensor ranks.
  bool keeps_means = false;  // LayerNorm.
  bool drops_output = false;
  bool drops_embedding = false;
  Recompute recompute = Recompute::kNone;
  at::ScalarType type = at::kFloat;  // Of the elements; sums are of accumulator_of() it.
  const Kernels& kernels = cpu_kernels();

  // Bytes of a device other than the CPU.
  bool is_cpu = true;
  std::int64_t reduction = 0;  // While a sum over tensor ranks is under way.
  std::int64_t norm_scratch = 0;
  std::int64_t embedding_scratch = 0;
  std::int64_t attention_forward_scratch = 0;
  std::int64_t attention_backward_scratch = 0;
};

class StageTape {
 public:
  using Memory = AllocationTape::Memory;

  StageTape(AllocationTape& tape, const StageSizes& sizes, std::int64_t num_microbatches);

  // Called while backward runs: the weight gradients of a layer of this stage are complete, or,
  // with num_layers, those of the head, or, with -1, those of the embedding.
  using OnLayer = std::function<void(std::int64_t layer)>;

  // The border's tensor, or null at the ends.
  Memory forward(std::int64_t microbatch, Memory input);
  Memory backward(std::int64_t microbatch, Memory output_gradient, const OnLayer& on_layer);
  Memory border() { return local(); }

 private:
  using Stash = std::vector<Memory>;

  Memory elements(std::int64_t count) { return tape_.make(count * sizes_.element_bytes); }
  Memory sums(std::int64_t count) { return tape_.make(count * sizes_.accumulator_bytes); }
  Memory local() { return elements(sizes_.local_tokens * sizes_.hidden); }
  Memory whole(std::int64_t features) { return elements(sizes_.tokens * features); }
  Memory gathered(const Memory& x) { return sizes_.gathers ? whole(sizes_.hidden) : x; }
  Memory reduced(Memory partial);
  bool is_narrow() const { return sizes_.element_bytes < sizes_.accumulator_bytes; }

  struct Norm {
    Memory y, rstd, mean;
  };
  Norm norm();
  // The product of [rows, depth] and [depth, columns], and what it works in.
  Memory product(const ProductShape& shape);
  void work(at::ScalarType type, const ProductShape& shape);
  std::array<Memory, 2> widened(std::int64_t rows, std::int64_t out, std::int64_t in);
  void take(std::int64_t bytes) { const Memory scratch = tape_.make(bytes); }  // For a moment.
  void weight_gradient(std::int64_t rows, std::int64_t out, std::int64_t in);
  Memory column_forward(std::int64_t out);
  Memory row_forward(std::int64_t in);
  Memory column_backward(std::int64_t out, const Memory& x);
  Memory row_backward(std::int64_t in, const Memory& dy);

  Memory embedding();
  Memory block_forward(Stash& stash, const Memory& x);
  Memory block_forward_keeping(Stash& stash, const Memory& x);
  Memory block_backward(Stash& stash, const Memory& dy);
  Memory attention_forward(Stash& stash, const Memory& normed);
  Memory attention_backward(Stash& stash, const Memory& dy, const Memory& normed);
  Memory feed_forward(Stash& stash, const Memory& normed);
  Memory feed_forward_backward(Stash& stash, const Memory& dy, const Memory& normed);
  void loss_forward(Stash& stash, const Memory& x);
  Memory loss_backward(Stash& stash);

  AllocationTape& tape_;
  const StageSizes sizes_;
  std::vector<Stash> stashes_;  // By microbatch.
  std::vector<Memory> losses_;  // Of the targets, read at the end of the step.
  Memory received_;             // What a sum over tensor ranks gets, kept for the next.
};

}  // namespace cloze
