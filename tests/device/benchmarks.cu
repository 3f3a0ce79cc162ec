// Bytes are what a kernel must read and write once, whatever it does; operations of attention are
// those of the two products of the forward pass and the five of the backward pass, halved by the
// causal mask.
#include "tests/device/benchmarks.h"

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/base/dtype.h"
#include "parallel/kernels/cuda/activation.h"
#include "parallel/kernels/cuda/adamw.h"
#include "parallel/kernels/cuda/attention.h"
#include "parallel/kernels/cuda/bias.h"
#include "parallel/kernels/cuda/cast.h"
#include "parallel/kernels/cuda/cross_entropy.h"
#include "parallel/kernels/cuda/dropout.h"
#include "parallel/kernels/cuda/embedding.h"
#include "parallel/kernels/cuda/norm.h"
#include "parallel/kernels/cuda/rotary.h"
#include "parallel/kernels/cuda/sums.h"
#include "tests/device/device_memory.h"
#include "tests/device/gpu.h"

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 8192;
constexpr std::int64_t kHidden = 4096;
constexpr std::int64_t kFfn = 13696;
constexpr std::int64_t kHeads = 32;
constexpr std::int64_t kKvHeads = 2;
constexpr std::int64_t kHeadDim = 128;
constexpr std::int64_t kVocab = 65024;
constexpr int kRepeats = 20;

// Memory that is not checked, of small values: the pattern of one upload, repeated.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        memory_(static_cast<T*>(device_allocate(bytes_))) {
    if constexpr (std::is_integral_v<T>) {
      cudaMemset(memory_, 0, bytes_);
      return;
    } else {
      constexpr std::size_t kPattern = 4096;
      std::vector<T> values(kPattern);
      for (std::size_t i = 0; i < kPattern; ++i) {
        const double value = std::sin(static_cast<double>(i) * 0.7) + 0.01;
        if constexpr (sizeof(T) == 2) {
          values[i] = static_cast<T>(static_cast<float>(value));
        } else {
          values[i] = static_cast<T>(value);
        }
      }
      std::size_t done = kPattern * sizeof(T) < bytes_ ? kPattern * sizeof(T) : bytes_;
      copy_to_device(memory_, values.data(), done);
      while (done < bytes_) {
        const std::size_t more = done < bytes_ - done ? done : bytes_ - done;
        cudaMemcpy(reinterpret_cast<unsigned char*>(memory_) + done, memory_, more,
                   cudaMemcpyDeviceToDevice);
        done += more;
      }
    }
  }
  ~Buffer() { device_free(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return memory_; }
  void fill(const std::vector<T>& values) {
    copy_to_device(memory_, values.data(), values.size() * sizeof(T));
  }

 private:
  std::size_t bytes_;
  T* memory_;
};

class Benchmarks {
 public:
  Benchmarks(std::string filter, std::function<void(const Timing&)> listener)
      : filter_(std::move(filter)), listener_(std::move(listener)) {}

  bool wanted(const std::string& name) const { return name.find(filter_) != std::string::npos; }

  // The rate of a copy of 2 GiB, bytes read and written counted.
  void copy() {
    constexpr std::int64_t kBytes = std::int64_t{1} << 31;
    Buffer<float> from(kBytes / 4);
    Buffer<float> to(kBytes / 4);
    bytes("copy", 2.0 * kBytes,
          [&] { cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice); });
  }

  void bytes(const std::string& name, double count, const std::function<void()>& call) {
    Timing timing{.name = name,
                  .milliseconds = time_of(call, kRepeats),
                  .rate = 0,
                  .unit = "GB/s",
                  .share_of_copy = 0};
    timing.rate = count / timing.milliseconds / 1e6;
    if (copy_rate_ == 0) copy_rate_ = timing.rate;
    timing.share_of_copy = timing.rate / copy_rate_;
    listener_(timing);
  }

  void operations(const std::string& name, double count, const std::function<void()>& call) {
    Timing timing{.name = name,
                  .milliseconds = time_of(call, 5),
                  .rate = 0,
                  .unit = "TFLOP/s",
                  .share_of_copy = 0};
    timing.rate = count / timing.milliseconds / 1e9;
    listener_(timing);
  }

 private:
  std::string filter_;
  std::function<void(const Timing&)> listener_;
  double copy_rate_ = 0;
};

using T = BFloat16;
constexpr double kSize = sizeof(T);

void time_norms(Benchmarks& run) {
  constexpr std::int64_t kAll = kTokens * kHidden;
  Buffer<T> x(kAll), delta(kAll), y(kAll), weight(kHidden), bias(kHidden);
  Buffer<float> rstd(kTokens), mean(kTokens), dweight(kHidden), dbias(kHidden);
  Buffer<unsigned char> workspace(cuda::norm_backward_workspace<T>(kTokens, kHidden));
  run.bytes("rms_norm forward bf16", 2 * kSize * kAll, [&] {
    cuda::rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), kTokens, kHidden,
                              1e-5, nullptr, nullptr, nullptr);
  });
  run.bytes("rms_norm forward with residual bf16", 4 * kSize * kAll, [&] {
    cuda::rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), kTokens, kHidden,
                              1e-5, delta.data(), x.data(), nullptr);
  });
  run.bytes("rms_norm backward with residual bf16", 4 * kSize * kAll, [&] {
    cuda::rms_norm_backward<T>(y.data(), x.data(), weight.data(), rstd.data(), delta.data(),
                               dweight.data(), kTokens, kHidden, delta.data(), workspace.data(),
                               nullptr);
  });
  run.bytes("layer_norm forward bf16", 2 * kSize * kAll, [&] {
    cuda::layer_norm_forward<T>(x.data(), weight.data(), bias.data(), y.data(), mean.data(),
                                rstd.data(), kTokens, kHidden, 1e-5, nullptr, nullptr, nullptr);
  });
  run.bytes("layer_norm backward bf16", 3 * kSize * kAll, [&] {
    cuda::layer_norm_backward<T>(y.data(), x.data(), weight.data(), mean.data(), rstd.data(),
                                 delta.data(), dweight.data(), dbias.data(), kTokens, kHidden,
                                 nullptr, workspace.data(), nullptr);
  });
}

void time_rows(Benchmarks& run) {
  constexpr std::int64_t kAll = kTokens * kFfn;
  Buffer<T> gate_up(2 * kAll), out(kAll), bias(kFfn);
  run.bytes("swiglu forward bf16", 3 * kSize * kAll,
            [&] { cuda::swiglu_forward<T>(gate_up.data(), out.data(), kTokens, kFfn, nullptr); });
  run.bytes("swiglu backward bf16", 5 * kSize * kAll, [&] {
    cuda::swiglu_backward<T>(out.data(), gate_up.data(), gate_up.data(), kTokens, kFfn, nullptr);
  });
  run.bytes("gelu forward with bias bf16", 2 * kSize * kAll, [&] {
    cuda::gelu_forward<T>(out.data(), bias.data(), gate_up.data(), kTokens, kFfn, nullptr);
  });
  Buffer<float> dbias(kFfn);
  Buffer<unsigned char> workspace(cuda::bias_gradient_workspace<T>(kTokens, kFfn));
  run.bytes("bias_gradient bf16", kSize * kAll, [&] {
    cuda::bias_gradient<T>(out.data(), dbias.data(), kTokens, kFfn, workspace.data(), nullptr);
  });
}

void time_tokens(Benchmarks& run) {
  constexpr std::int64_t kAll = kTokens * kHidden;
  Buffer<std::int64_t> ordinals(kTokens);
  Buffer<std::int32_t> places(kTokens), ids(kTokens);
  std::vector<std::int32_t> numbers(kTokens);
  for (std::int64_t t = 0; t < kTokens; ++t) numbers[t] = static_cast<std::int32_t>(t);
  places.fill(numbers);
  for (std::int64_t t = 0; t < kTokens; ++t) {
    numbers[t] = static_cast<std::int32_t>(t % 8 == 0 ? 3 : t * 7919 % kVocab);
  }
  ids.fill(numbers);
  Buffer<T> x(kAll), residual(kAll), table(kVocab * kHidden);
  Buffer<float> cosines(kTokens * kHeadDim), dtable(kVocab * kHidden);
  Buffer<unsigned char> workspace(cuda::embedding_backward_workspace(kTokens));
  DropoutKey key{.p = 0.1, .seed = 1, .hidden_total = kHidden};
  key.ordinals = ordinals.data();
  key.index_in_row = places.data();
  run.bytes("dropout_add bf16", 3 * kSize * kAll, [&] {
    cuda::dropout_add<T>(residual.data(), x.data(), nullptr, &key, residual.data(), kTokens,
                         kHidden, nullptr);
  });
  run.bytes("rotary half of each head bf16", 1 * kSize * kAll, [&] {
    cuda::rotary<T>(x.data(), kHidden, kTokens, kHeads, kHeadDim, kHeadDim / 2, places.data(),
                    cosines.data(), cosines.data(), true, false, nullptr);
  });
  run.bytes("embedding forward bf16", 2 * kSize * kAll, [&] {
    cuda::embedding_forward<T>(table.data(), 0, kVocab, ids.data(), x.data(), kTokens, kHidden,
                               false, nullptr);
  });
  run.bytes("embedding backward bf16", (kSize + 8) * kAll, [&] {
    cuda::embedding_backward<T>(x.data(), ids.data(), 0, kVocab, dtable.data(), kTokens, kHidden,
                                workspace.data(), nullptr);
  });
}

void time_cross_entropy(Benchmarks& run) {
  constexpr std::int64_t kRows = 4096;
  constexpr double kAll = static_cast<double>(kRows) * kVocab;
  Buffer<T> logits(kRows * kVocab);
  Buffer<std::int32_t> targets(kRows);
  Buffer<float> max(kRows), sum(kRows), target_logit(kRows), weight(kRows);
  run.bytes("row_max bf16", kSize * kAll,
            [&] { cuda::row_max<T>(logits.data(), kVocab, kRows, kVocab, max.data(), nullptr); });
  run.bytes("row_sums bf16", kSize * kAll, [&] {
    cuda::row_sums<T>(logits.data(), kVocab, kRows, kVocab, 0, targets.data(), max.data(),
                      sum.data(), target_logit.data(), nullptr);
  });
  run.bytes("softmax_gradient bf16", 2 * kSize * kAll, [&] {
    cuda::softmax_gradient<T>(logits.data(), kVocab, kRows, kVocab, 0, targets.data(), max.data(),
                              sum.data(), weight.data(), nullptr);
  });
}

void time_flat(Benchmarks& run) {
  constexpr std::int64_t kCount = std::int64_t{1} << 28;
  Buffer<float> master(kCount), gradient(kCount), exp_avg(kCount), exp_avg_sq(kCount);
  Buffer<T> value(kCount);
  run.bytes("adamw bf16", 30.0 * kCount, [&] {
    cuda::adamw<T, float>(master.data(), value.data(), gradient.data(), exp_avg.data(),
                          exp_avg_sq.data(), kCount, {.lr = 1e-4}, nullptr);
  });
  run.bytes("convert f32 to bf16", 6.0 * kCount,
            [&] { cuda::convert<float, T>(gradient.data(), value.data(), kCount, nullptr); });
  Buffer<double> total(1);
  Buffer<unsigned char> workspace(cuda::sum_of_squares_workspace(kCount));
  run.bytes("sum_of_squares f32", 4.0 * kCount, [&] {
    cuda::sum_of_squares<float>(gradient.data(), kCount, total.data(), workspace.data(), nullptr);
  });
}

template <class E, std::int64_t kChannels>
void time_attention(Benchmarks& run, const std::string& type) {
  using A = Accumulator<E>;
  constexpr std::int64_t kRow = (kHeads + 2 * kKvHeads) * kChannels;
  const AttentionShape shape{.tokens = kTokens,
                             .heads = kHeads,
                             .kv_heads = kKvHeads,
                             .head_dim = kChannels,
                             .q_stride = kRow,
                             .kv_stride = kRow,
                             .out_stride = kHeads * kChannels,
                             .scale = 1.0 / std::sqrt(static_cast<double>(kChannels))};
  Buffer<E> qkv(kTokens * kRow), dqkv(kTokens * kRow), out(kTokens * shape.out_stride),
      dout(kTokens * shape.out_stride);
  Buffer<A> lse(kHeads * kTokens);
  Buffer<std::int32_t> lo(kTokens), hi(kTokens);
  std::vector<std::int32_t> numbers(kTokens);
  for (std::int64_t t = 0; t < kTokens; ++t) numbers[t] = static_cast<std::int32_t>(t + 1);
  hi.fill(numbers);
  Buffer<unsigned char> workspace(cuda::attention_backward_workspace<E>(shape));
  E* const k = qkv.data() + kHeads * kChannels;
  E* const v = k + kKvHeads * kChannels;
  E* const dk = dqkv.data() + kHeads * kChannels;
  E* const dv = dk + kKvHeads * kChannels;
  const double product = 2.0 * kTokens * kTokens / 2 * kChannels * kHeads;
  run.operations("attention forward causal " + type, 2 * product, [&] {
    cuda::attention_forward<E>(shape, qkv.data(), k, v, lo.data(), hi.data(), nullptr, out.data(),
                               lse.data(), nullptr);
  });
  run.operations("attention backward causal " + type, 5 * product, [&] {
    cuda::attention_backward<E>(shape, dout.data(), qkv.data(), k, v, out.data(), lse.data(),
                                lo.data(), hi.data(), nullptr, dqkv.data(), dk, dv,
                                workspace.data(), nullptr);
  });
}

}  // namespace

void run_benchmarks(const std::string& filter, const std::function<void(const Timing&)>& listener) {
  Benchmarks run(filter, listener);
  run.copy();
  if (run.wanted("norms")) time_norms(run);
  if (run.wanted("rows")) time_rows(run);
  if (run.wanted("tokens")) time_tokens(run);
  if (run.wanted("cross_entropy")) time_cross_entropy(run);
  if (run.wanted("flat")) time_flat(run);
  if (run.wanted("attention")) {
    time_attention<BFloat16, kHeadDim>(run, "bf16");
    time_attention<float, kHeadDim>(run, "f32");
    time_attention<float, 64>(run, "f32, 64 channels");
  }
}

}  // namespace cloze
