// Tests of the choice of instruction set, and that the choice changes no bit.
#include "parallel/kernels/instruction_set.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "parallel/base/check.h"
#include "parallel/kernels/activation.h"
#include "parallel/kernels/adamw.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/bias.h"
#include "parallel/kernels/cast.h"
#include "parallel/kernels/cross_entropy.h"
#include "parallel/kernels/dropout.h"
#include "parallel/kernels/norm.h"
#include "parallel/kernels/rotary.h"
#include "parallel/kernels/sums.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 130;
constexpr std::int64_t kHidden = 119;  // Heads of 17: neither whole packs nor whole tiles.
constexpr std::int64_t kHeads = 7;

// FNV-1a over the bytes of all outputs.
class Digest {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) {
      value_ = (value_ ^ bytes[i]) * 0x100000001b3ULL;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

template <class T>
void add_attention(Digest& digest) {
  const AttentionShape shape{.tokens = kTokens,
                             .heads = kHeads,
                             .kv_heads = 1,
                             .head_dim = kHidden / kHeads,
                             .q_stride = kHidden,
                             .kv_stride = kHidden,
                             .out_stride = kHidden,
                             .scale = 0.25};
  std::vector<std::int32_t> lo(kTokens), hi(kTokens), index_in_row(kTokens);
  const std::vector<std::int64_t> ordinals(kTokens, 5);
  for (std::int32_t t = 0; t < kTokens; ++t) {
    lo[t] = t < 50 ? 0 : 50;
    hi[t] = std::max(t + 1, t < 50 ? 20 : 0);
    index_in_row[t] = t;
  }
  const AttentionDropout dropout{.p = 0.2,
                                 .seed = 1,
                                 .ordinals = ordinals.data(),
                                 .index_in_row = index_in_row.data(),
                                 .seq_length = kTokens};
  const auto q = normals<T>(kTokens * kHidden, 1), k = normals<T>(kTokens * kHidden, 2);
  const auto v = normals<T>(kTokens * kHidden, 3), dout = normals<T>(kTokens * kHidden, 4);
  std::vector<T> out(kTokens * kHidden), dq = out, dk = out, dv = out;
  std::vector<Accumulator<T>> lse(kHeads * kTokens);
  std::vector<Accumulator<T>> workspace(attention_backward_workspace(shape));
  attention_forward<T>(shape, q.data(), k.data(), v.data(), lo.data(), hi.data(), &dropout,
                       out.data(), lse.data());
  attention_backward<T>(shape, dout.data(), q.data(), k.data(), v.data(), out.data(), lse.data(),
                        lo.data(), hi.data(), &dropout, dq.data(), dk.data(), dv.data(),
                        workspace.data());
  digest.add(out);
  digest.add(dq);
  digest.add(dk);
  digest.add(dv);
}

template <class T>
void add_rows(Digest& digest) {
  using A = Accumulator<T>;
  const std::int64_t n = kTokens;
  const auto x = normals<T>(n * kHidden, 1), dy = normals<T>(n * kHidden, 2);
  const auto weight = normals<T>(kHidden, 3), bias = normals<T>(kHidden, 4);
  std::vector<T> y(n * kHidden), dx(n * kHidden);
  std::vector<A> mean(n), rstd(n), dweight(kHidden), dbias(kHidden);
  layer_norm_forward<T>(x.data(), weight.data(), bias.data(), y.data(), mean.data(), rstd.data(), n,
                        kHidden, 1e-5);
  layer_norm_backward<T>(dy.data(), x.data(), weight.data(), mean.data(), rstd.data(), dx.data(),
                         dweight.data(), dbias.data(), n, kHidden);
  digest.add(y);
  digest.add(dx);
  digest.add(dweight);
  gelu_forward<T>(x.data(), bias.data(), y.data(), n, kHidden);
  gelu_backward<T>(dy.data(), x.data(), bias.data(), dx.data(), n, kHidden);
  swiglu_forward<T>(x.data(), y.data(), n / 2, kHidden);
  bias_gradient<T>(dx.data(), dbias.data(), n, kHidden);
  digest.add(y);
  digest.add(dx);
  digest.add(dbias);
  const std::vector<std::int64_t> ordinals(n, 5);
  const std::vector<std::int32_t> places(n, 3);
  const DropoutKey key{.p = 0.2,
                       .ordinals = ordinals.data(),
                       .index_in_row = places.data(),
                       .hidden_total = kHidden};
  dropout_add<T>(x.data(), dy.data(), bias.data(), &key, y.data(), n, kHidden);
  const RotaryTable<A> table(10000.0, 14, 10);
  rotary<T>(y.data(), kHidden, n, kHeads, 17, 14, places.data(), table.cos.data(), table.sin.data(),
            false, false);
  digest.add(y);
  row_max<T>(y.data(), kHidden, n, kHidden, mean.data());
  std::vector<A> sum(n), target_logit(n);
  row_sums<T>(y.data(), kHidden, n, kHidden, 0, places.data(), mean.data(), sum.data(),
              target_logit.data());
  softmax_gradient<T>(y.data(), kHidden, n, kHidden, 0, places.data(), mean.data(), sum.data(),
                      rstd.data());
  digest.add(y);
  digest.add(sum);
  digest.add(std::vector<double>{sum_of_squares<T>(x.data(), n * kHidden)});
  const T* parts[] = {x.data(), dy.data(), y.data()};
  ordered_sum<T>(parts, 3, dx.data(), n * kHidden);
  digest.add(dx);
  std::vector<A> master(n * kHidden), exp_avg(n * kHidden), exp_avg_sq(n * kHidden);
  convert<T, A>(dx.data(), master.data(), n * kHidden);
  const auto gradient = normals<A>(n * kHidden, 6);
  adamw<T, A>(master.data(), y.data(), gradient.data(), exp_avg.data(), exp_avg_sq.data(),
              n * kHidden, {.lr = 0.1, .weight_decay = 0.1, .bias_correction2 = 0.05});
  digest.add(y);
  digest.add(master);
}

std::string digest_of_all_kernels() {
  Digest digest;
  add_attention<double>(digest);
  add_attention<float>(digest);
  add_attention<BFloat16>(digest);
  add_attention<Float16>(digest);
  add_rows<double>(digest);
  add_rows<float>(digest);
  add_rows<BFloat16>(digest);
  add_rows<Float16>(digest);
  return str("digest ", digest.value(), " set ", static_cast<int>(instruction_set()), "\n");
}

// Not a test: prints the digest for the test below, which runs it in a process that may not use
// AVX-512.
TEST(InstructionSetDigest, DISABLED_Print) { std::printf("%s", digest_of_all_kernels().c_str()); }

TEST(InstructionSetTest, AllFiveFeaturesMakeAvx512) {
  const CpuFeatures all{true, true, true, true, true};
  EXPECT_EQ(choose_instruction_set(all), InstructionSet::kAvx512);
  EXPECT_EQ(choose_instruction_set({}), InstructionSet::kAvx2);
  CpuFeatures without_vl = all;
  without_vl.avx512vl = false;
  EXPECT_EQ(choose_instruction_set(without_vl), InstructionSet::kAvx2);
}

TEST(InstructionSetTest, BothSetsGiveTheSameBits) {
  const std::string here = digest_of_all_kernels();
  if (instruction_set() != InstructionSet::kAvx512) GTEST_SKIP() << "no AVX-512 here";
  const std::string command =
      str("GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F '",
          std::filesystem::read_symlink("/proc/self/exe").string(),
          "' --gtest_filter=InstructionSetDigest.* --gtest_also_run_disabled_tests");
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> buffer{};
  for (std::size_t got = 1; got > 0;) {
    got = fread(buffer.data(), 1, buffer.size(), pipe);
    output.append(buffer.data(), got);
  }
  ASSERT_EQ(pclose(pipe), 0) << output;
  std::string expected = here;
  expected.replace(expected.find("set 1"), 5, "set 0");
  EXPECT_NE(output.find(expected), std::string::npos) << expected << "is not in\n" << output;
}

}  // namespace
}  // namespace cloze
