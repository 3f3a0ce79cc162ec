#include "parallel/gpu/flash_attention.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <algorithm>

#include "parallel/base/check.h"

namespace cloze {
namespace {

template <class T>
constexpr at::ScalarType kTypeOf = std::is_same_v<T, BFloat16> ? at::kBFloat16 : at::kHalf;

// What the functions of a table know of the process: they are no objects.
struct Setting {
  const Kernels* fallback = nullptr;  // Serves what LibTorch's attention cannot.
  at::Device device = at::kCPU;
  int multiprocessors = 0;
};

Setting& setting() {
  static Setting of_process;
  return of_process;
}

const Kernels* fallback() { return setting().fallback; }

// LibTorch takes what suits its vectors: heads of up to 256 channels, in eights.
bool is_for_flash(const AttentionShape& shape, bool drops) {
  return shape.samples != nullptr && !drops && shape.kv_tokens == 0 && shape.head_dim % 8 == 0 &&
         shape.head_dim <= 256 && shape.q_stride % 8 == 0 && shape.kv_stride % 8 == 0 &&
         shape.out_stride % 8 == 0;
}

// Lets LibTorch choose what gives the same bits each time, while it lives.
class Deterministic {
 public:
  Deterministic()
      : was_(at::globalContext().deterministicAlgorithms()),
        warned_(at::globalContext().deterministicAlgorithmsWarnOnly()) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  }
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;
  ~Deterministic() { at::globalContext().setDeterministicAlgorithms(was_, warned_); }

 private:
  const bool was_;
  const bool warned_;
};

// The arrays of a call as tensors of the GPU.
template <class T>
class Arrays {
 public:
  explicit Arrays(const AttentionShape& shape) : shape_(shape), samples_(*shape.samples) {}

  // Rows of heads with `stride` elements from token to token.
  at::Tensor heads(const T* data, std::int64_t count, std::int64_t stride) const {
    return at::from_blob(const_cast<T*>(data), {shape_.tokens, count, shape_.head_dim},
                         {stride, shape_.head_dim, 1}, gpu(kTypeOf<T>));
  }
  at::Tensor queries(const T* data) const { return heads(data, shape_.heads, shape_.q_stride); }
  at::Tensor keys(const T* data) const { return heads(data, shape_.kv_heads, shape_.kv_stride); }
  at::Tensor outputs(const T* data) const { return heads(data, shape_.heads, shape_.out_stride); }
  at::Tensor lse(const float* data) const {
    return at::from_blob(const_cast<float*>(data), {shape_.heads, shape_.tokens}, gpu(at::kFloat));
  }
  at::Tensor numbers(const std::int32_t* data, std::int64_t count) const {
    return at::from_blob(const_cast<std::int32_t*>(data), {count}, gpu(at::kInt));
  }

  at::Tensor offsets() const { return numbers(samples_.offsets, samples_.count + 1); }
  at::Tensor prefix_offsets() const {
    return numbers(samples_.prefix_offsets, samples_.prefixes + 1);
  }
  at::Tensor suffix_offsets() const { return numbers(samples_.suffix_offsets, samples_.count + 1); }
  at::Tensor prefix_places() const {
    return numbers(samples_.prefix_places, samples_.prefix_tokens);
  }
  at::Tensor suffix_places() const {
    return numbers(samples_.suffix_places, shape_.tokens - samples_.prefix_tokens);
  }

  static at::TensorOptions gpu(at::ScalarType dtype) {
    return at::TensorOptions(setting().device).dtype(dtype);
  }

 private:
  const AttentionShape& shape_;
  const AttentionSamples& samples_;
};

// Queries of some tokens, keys of some, and how they are cut into samples.
struct Part {
  at::Tensor q, k, v;
  at::Tensor q_offsets, k_offsets;
  std::int64_t longest_q, longest_k;
  bool is_causal;  // Aligned to the last query and the last key of each sample.
};

struct Output {
  at::Tensor out;  // [queries, heads, head_dim]
  at::Tensor lse;  // [heads, queries]
};

Output forward_of(const Part& part, double scale) {
  auto [out, lse, state, unused, mask] = at::_flash_attention_forward(
      part.q, part.k, part.v, part.q_offsets, part.k_offsets, part.longest_q, part.longest_k,
      /*dropout_p=*/0.0, part.is_causal, /*return_debug_mask=*/false, scale);
  return {out, lse};
}

struct Gradients {
  at::Tensor dq, dk, dv;
};

Gradients backward_of(const Part& part, const at::Tensor& dout, const Output& output,
                      double scale) {
  const Deterministic deterministic;
  // Of a dropout that there is not.
  const at::Tensor state = at::empty({2}, part.q_offsets.options().dtype(at::kLong));
  auto [dq, dk, dv] = at::_flash_attention_backward(
      dout, part.q, part.k, part.v, output.out, output.lse, part.q_offsets, part.k_offsets,
      part.longest_q, part.longest_k, /*dropout_p=*/0.0, part.is_causal, state, state, scale);
  return {dq, dk, dv};
}

template <class T>
class FlashAttention {
 public:
  FlashAttention(const AttentionShape& shape, const T* q, const T* k, const T* v)
      : shape_(shape),
        samples_(*shape.samples),
        arrays_(shape),
        q_(arrays_.queries(q)),
        k_(arrays_.keys(k)),
        v_(arrays_.keys(v)) {}

  void forward(T* out, float* lse) const {
    at::Tensor outputs = arrays_.outputs(out);
    at::Tensor sums = arrays_.lse(lse);
    if (samples_.prefixes == 0) {
      const Output whole = forward_of(whole_part(), shape_.scale);
      outputs.copy_(whole.out);
      sums.copy_(whole.lse);
      return;
    }
    for (const bool is_prefix : {true, false}) {
      const Output part = forward_of(is_prefix ? prefix_part() : suffix_part(), shape_.scale);
      const at::Tensor rows = places(is_prefix);
      outputs.index_copy_(0, rows, part.out);
      sums.index_copy_(1, rows, part.lse);
    }
  }

  void backward(const T* dout, const T* out, const float* lse, T* dq, T* dk, T* dv) const {
    const at::Tensor gradients = arrays_.outputs(dout);
    const Output output{arrays_.outputs(out), arrays_.lse(lse)};
    at::Tensor to_q = arrays_.queries(dq);
    at::Tensor to_k = arrays_.keys(dk);
    at::Tensor to_v = arrays_.keys(dv);
    if (samples_.prefixes == 0) {
      const Gradients whole = backward_of(whole_part(), gradients, output, shape_.scale);
      to_q.copy_(whole.dq);
      to_k.copy_(whole.dk);
      to_v.copy_(whole.dv);
      return;
    }
    const at::Tensor prefix_rows = places(true);
    const at::Tensor suffix_rows = places(false);
    const auto of_part = [&](const Part& part, const at::Tensor& rows) {
      return backward_of(
          part, gradients.index_select(0, rows),
          {output.out.index_select(0, rows), output.lse.index_select(1, rows).contiguous()},
          shape_.scale);
    };
    // The suffixes' queries saw all keys, the prefixes' those of the prefixes.
    const Gradients suffix = of_part(suffix_part(), suffix_rows);
    const Gradients prefix = of_part(prefix_part(), prefix_rows);
    to_q.index_copy_(0, suffix_rows, suffix.dq);
    to_q.index_copy_(0, prefix_rows, prefix.dq);
    to_k.copy_(suffix.dk);
    to_v.copy_(suffix.dv);
    to_k.index_copy_(0, prefix_rows, suffix.dk.index_select(0, prefix_rows).add_(prefix.dk));
    to_v.index_copy_(0, prefix_rows, suffix.dv.index_select(0, prefix_rows).add_(prefix.dv));
  }

 private:
  at::Tensor places(bool is_prefix) const {
    return (is_prefix ? arrays_.prefix_places() : arrays_.suffix_places()).to(at::kLong);
  }

  Part whole_part() const {
    const at::Tensor offsets = arrays_.offsets();
    return {q_, k_, v_, offsets, offsets, samples_.longest, samples_.longest, /*is_causal=*/true};
  }

  Part prefix_part() const {
    const at::Tensor rows = arrays_.prefix_places();
    const at::Tensor offsets = arrays_.prefix_offsets();
    return {q_.index_select(0, rows),
            k_.index_select(0, rows),
            v_.index_select(0, rows),
            offsets,
            offsets,
            samples_.longest_prefix,
            samples_.longest_prefix,
            /*is_causal=*/false};
  }

  Part suffix_part() const {
    return {q_.index_select(0, arrays_.suffix_places()),
            k_,
            v_,
            arrays_.suffix_offsets(),
            arrays_.offsets(),
            samples_.longest_suffix,
            samples_.longest,
            /*is_causal=*/true};
  }

  const AttentionShape& shape_;
  const AttentionSamples& samples_;
  const Arrays<T> arrays_;
  const at::Tensor q_, k_, v_;
};

template <class T>
void attention_forward_on_gpu(const AttentionShape& shape, const T* q, const T* k, const T* v,
                              const std::int32_t* lo, const std::int32_t* hi,
                              const AttentionDropout* dropout, T* out, float* lse) {
  if (is_for_flash(shape, dropout != nullptr)) {
    FlashAttention<T>(shape, q, k, v).forward(out, lse);
  } else {
    fallback()->of<T>().attention_forward(shape, q, k, v, lo, hi, dropout, out, lse);
  }
}

template <class T>
void attention_backward_on_gpu(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                               const T* v, const T* out, const float* lse, const std::int32_t* lo,
                               const std::int32_t* hi, const AttentionDropout* dropout, T* dq,
                               T* dk, T* dv, float* workspace) {
  if (is_for_flash(shape, dropout != nullptr)) {
    FlashAttention<T>(shape, q, k, v).backward(dout, out, lse, dq, dk, dv);
  } else {
    fallback()->of<T>().attention_backward(shape, dout, q, k, v, out, lse, lo, hi, dropout, dq, dk,
                                           dv, workspace);
  }
}

// Bytes of tensors that live at a time in the calls above and in LibTorch's: the whole forms are
// counted, and what a part selects of the arrays where there are prefixes.
template <class T>
struct FlashScratch {
  static constexpr std::int64_t kWidth = sizeof(T);

  // Of `tokens` queries, or of as many keys.
  static std::int64_t query_bytes(const AttentionShape& shape, std::int64_t tokens) {
    return tokens * shape.heads * shape.head_dim * kWidth;
  }
  static std::int64_t key_bytes(const AttentionShape& shape, std::int64_t tokens) {
    return tokens * shape.kv_heads * shape.head_dim * kWidth;
  }
  static std::int64_t lse_bytes(const AttentionShape& shape, std::int64_t tokens) {
    return tokens * shape.heads * std::int64_t{sizeof(float)};
  }

  static std::int64_t forward(const AttentionShape& shape, bool drops) {
    if (!is_for_flash(shape, drops)) {
      return fallback()->of<T>().scratch.attention_forward(shape, drops);
    }
    const AttentionSamples& samples = *shape.samples;
    const auto made = [&](std::int64_t tokens) {
      return query_bytes(shape, tokens) + lse_bytes(shape, tokens);
    };
    if (samples.prefixes == 0) return made(shape.tokens);
    const auto selected = [&](std::int64_t tokens) {
      return query_bytes(shape, tokens) + tokens * std::int64_t{sizeof(std::int64_t)};
    };
    const std::int64_t suffix = shape.tokens - samples.prefix_tokens;
    return std::max(made(samples.prefix_tokens) + selected(samples.prefix_tokens) +
                        2 * key_bytes(shape, samples.prefix_tokens),
                    made(suffix) + selected(suffix));
  }

  // One call of the backward pass: gradients, sums of dout * out, and for each split of the work
  // dq in float; gradients of keys and values for each query head where heads share some. Its
  // arrays have 128 tokens more for each sample.
  static std::int64_t backward_call(const AttentionShape& shape, std::int64_t samples,
                                    std::int64_t queries, std::int64_t keys) {
    const std::int64_t padded = queries + 128 * samples;
    const std::int64_t blocks = std::max<std::int64_t>(1, samples * shape.heads);
    const std::int64_t splits = (setting().multiprocessors + blocks - 1) / blocks;
    const std::int64_t grain = shape.head_dim <= 128 ? 32 : 64;
    const std::int64_t wide_dim = (shape.head_dim + grain - 1) / grain * grain;
    const std::int64_t expanded = shape.kv_heads == shape.heads ? 0 : 2 * query_bytes(shape, keys);
    return query_bytes(shape, queries) + 2 * key_bytes(shape, keys) + lse_bytes(shape, padded) +
           splits * padded * shape.heads * wide_dim * std::int64_t{sizeof(float)} + expanded;
  }

  static std::int64_t backward(const AttentionShape& shape, bool drops) {
    if (!is_for_flash(shape, drops)) {
      return fallback()->of<T>().scratch.attention_backward(shape, drops);
    }
    const AttentionSamples& samples = *shape.samples;
    const std::int64_t tokens = shape.tokens;
    if (samples.prefixes == 0) return backward_call(shape, samples.count, tokens, tokens);
    const std::int64_t prefix = samples.prefix_tokens;
    const std::int64_t suffix = tokens - prefix;
    const std::int64_t places = tokens * std::int64_t{sizeof(std::int64_t)};
    // A part's queries, their outputs and gradients, and sums.
    const auto selected = [&](std::int64_t queries) {
      return 3 * query_bytes(shape, queries) + lse_bytes(shape, queries);
    };
    const std::int64_t of_suffix =
        selected(suffix) + backward_call(shape, samples.count, suffix, tokens);
    // The suffixes' gradients wait for the prefixes'.
    const std::int64_t kept = query_bytes(shape, suffix) + 2 * key_bytes(shape, tokens);
    const std::int64_t of_prefix = kept + selected(prefix) + 2 * key_bytes(shape, prefix) +
                                   backward_call(shape, samples.prefixes, prefix, prefix);
    return places + std::max(of_suffix, of_prefix);
  }
};

template <class T>
void use_flash(KernelTable<T>& table) {
  table.attention_forward = &attention_forward_on_gpu<T>;
  table.attention_backward = &attention_backward_on_gpu<T>;
  table.scratch.attention_forward = &FlashScratch<T>::forward;
  table.scratch.attention_backward = &FlashScratch<T>::backward;
}

}  // namespace

Kernels with_flash_attention(const Kernels& own, at::Device device, int multiprocessors) {
  setting() = {.fallback = &own, .device = device, .multiprocessors = multiprocessors};
  Kernels kernels = own;
  use_flash(kernels.bf16);
  use_flash(kernels.f16);
  return kernels;
}

}  // namespace cloze
