// Tests of attention against a dense masked softmax in double.
#include "parallel/kernels/attention.h"

#include <string>

#include "parallel/base/check.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

// A call: shape, intervals and, when p > 0, dropout.
struct Case {
  std::string name;
  AttentionShape shape;
  std::vector<std::int32_t> lo, hi;
  double p = 0.0;
  std::vector<std::int64_t> ordinals;
  std::vector<std::int32_t> index_in_row;
};

// q, k and v side by side in one buffer, out in one with a gap.
Case fused_case(const std::string& name, std::int64_t tokens, std::int64_t heads,
                std::int64_t kv_heads, std::int64_t head_dim) {
  Case made;
  made.name = name;
  const std::int64_t token = (heads + 2 * kv_heads) * head_dim;
  made.shape = {.tokens = tokens,
                .heads = heads,
                .kv_heads = kv_heads,
                .head_dim = head_dim,
                .q_stride = token,
                .kv_stride = token,
                .out_stride = heads * head_dim + 5,
                .scale = 1.0 / std::sqrt(static_cast<double>(head_dim))};
  for (std::int64_t t = 0; t < tokens; ++t) {
    made.lo.push_back(0);
    made.hi.push_back(static_cast<std::int32_t>(t + 1));
    made.ordinals.push_back(40 + t / 70);
    made.index_in_row.push_back(static_cast<std::int32_t>(t % 70));
  }
  return made;
}

// Documents of odd lengths, each with a prefix that all its tokens see, and two tokens of none.
void pack_prefix_documents(Case& to) {
  std::int32_t first = 0;
  std::int32_t length = 5;
  const auto tokens = static_cast<std::int32_t>(to.shape.tokens);
  while (first < tokens) {
    const std::int32_t last = std::min(tokens, first + length);
    const std::int32_t prefix = first + length / 3;
    for (std::int32_t t = first; t < last; ++t) {
      to.lo[t] = first;
      to.hi[t] = std::min(last, std::max(prefix, t + 1));
    }
    first = last;
    length = length * 2 + 7;
  }
  to.lo[tokens - 1] = to.hi[tokens - 1] = 0;
  to.lo[2] = 3;
  to.hi[2] = 3;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  all.push_back(fused_case("one token", 1, 1, 1, 8));
  all.push_back(fused_case("causal", 65, 2, 2, 16));
  all.push_back(fused_case("causal, odd head_dim", 63, 2, 1, 20));
  all.push_back(fused_case("grouped heads", 200, 6, 2, 32));
  all.push_back(fused_case("packed prefixes", 300, 2, 1, 64));
  pack_prefix_documents(all.back());
  all.push_back(fused_case("sliding window", 150, 1, 1, 16));
  for (std::int32_t t = 0; t < 150; ++t) all.back().lo[t] = std::max(0, t - 40);
  all.push_back(fused_case("two rows of one prefix mask", 140, 2, 2, 80));
  for (std::int32_t t = 0; t < 140; ++t) {
    all.back().lo[t] = t / 70 * 70;
    all.back().hi[t] = std::max(t / 70 * 70 + 31, t + 1);
  }
  all.push_back(fused_case("nobody sees anything", 70, 1, 1, 8));
  std::fill(all.back().hi.begin(), all.back().hi.end(), 0);
  all.push_back(fused_case("more than one block of queries", 700, 1, 1, 16));
  // Some probabilities are too small for a float, and some tiles' sums vanish beside later ones.
  all.push_back(fused_case("scores far apart", 200, 1, 1, 16));
  all.back().shape.scale = 8;
  for (const std::size_t like : {2, 3, 4, 6}) {
    Case dropped = all[like];
    dropped.name += ", dropout";
    dropped.p = 0.3;
    for (std::int32_t t = 0; t < dropped.shape.tokens; ++t) {
      // Some tokens of a row are not neighbours.
      if (t % 70 == 69) dropped.index_in_row[t] = 69 + 20;
    }
    all.push_back(dropped);
  }
  return all;
}

AttentionDropout dropout_of(const Case& of) {
  return {.p = of.p,
          .seed = 99,
          .layer = 3,
          .ordinals = of.ordinals.data(),
          .index_in_row = of.index_in_row.data(),
          .first_head = 2,
          .seq_length = 1000};
}

template <class T>
struct Arrays {
  std::vector<T> qkv, dout, out, dqkv;
  std::vector<Accumulator<T>> lse;
};

template <class T>
Arrays<T> run_case(const Case& of) {
  const AttentionShape& s = of.shape;
  Arrays<T> result{.qkv = normals<T>(s.tokens * s.q_stride, 1),
                   .dout = normals<T>(s.tokens * s.out_stride, 2),
                   .out = poisoned<T>(s.tokens * s.out_stride),
                   .dqkv = poisoned<T>(s.tokens * s.q_stride),
                   .lse = poisoned<Accumulator<T>>(s.heads * s.tokens)};
  const AttentionDropout dropout = dropout_of(of);
  const AttentionDropout* given = of.p > 0.0 ? &dropout : nullptr;
  const std::int64_t k = s.heads * s.head_dim;
  const std::int64_t v = k + s.kv_heads * s.head_dim;
  const T* qkv = result.qkv.data();
  T* dqkv = result.dqkv.data();
  auto workspace = poisoned<Accumulator<T>>(attention_backward_workspace(s));
  attention_forward<T>(s, qkv, qkv + k, qkv + v, of.lo.data(), of.hi.data(), given,
                       result.out.data(), result.lse.data());
  attention_backward<T>(s, result.dout.data(), qkv, qkv + k, qkv + v, result.out.data(),
                        result.lse.data(), of.lo.data(), of.hi.data(), given, dqkv, dqkv + k,
                        dqkv + v, workspace.data());
  return result;
}

// The same from the definition, row by row.
struct Reference {
  std::vector<double> out, lse, dqkv;
};

template <class T>
Reference reference(const Case& of, const Arrays<T>& inputs) {
  const AttentionShape& s = of.shape;
  Reference result{.out = std::vector<double>(inputs.out.size()),
                   .lse = std::vector<double>(inputs.lse.size()),
                   .dqkv = std::vector<double>(inputs.dqkv.size())};
  const auto qkv = doubles(inputs.qkv);
  const auto dout = doubles(inputs.dout);
  const std::int64_t group = s.heads / s.kv_heads;
  for (std::int64_t head = 0; head < s.heads; ++head) {
    const std::int64_t q = head * s.head_dim;
    const std::int64_t k = (s.heads + head / group) * s.head_dim;
    const std::int64_t v = k + s.kv_heads * s.head_dim;
    for (std::int64_t t = 0; t < s.tokens; ++t) {
      double& lse = result.lse[head * s.tokens + t];
      lse = -std::numeric_limits<double>::infinity();
      if (of.lo[t] >= of.hi[t]) continue;
      std::vector<double> score, keep, slope;
      double total = 0.0;
      for (std::int64_t u = of.lo[t]; u < of.hi[t]; ++u) {
        double dot = 0.0, back = 0.0;
        for (std::int64_t d = 0; d < s.head_dim; ++d) {
          dot += qkv[t * s.q_stride + q + d] * qkv[u * s.q_stride + k + d];
          back += dout[t * s.out_stride + q + d] * qkv[u * s.q_stride + v + d];
        }
        score.push_back(dot * s.scale);
        slope.push_back(back);
        total += std::exp(score.back());
        const std::uint64_t element =
            static_cast<std::uint64_t>((head + 2) * 1000 + of.index_in_row[t]) * 1000 +
            of.index_in_row[u];
        const RandomKey key{.seed = 99,
                            .domain = RandomDomain::kAttentionDropout,
                            .layer = 3,
                            .ordinal = static_cast<std::uint64_t>(of.ordinals[t])};
        const bool kept = of.p == 0.0 || random_uniform(key, element) >= of.p;
        keep.push_back(kept ? 1.0 / (1.0 - of.p) : 0.0);
      }
      lse = std::log(total);
      double delta = 0.0;
      for (std::size_t i = 0; i < score.size(); ++i) {
        score[i] = std::exp(score[i] - lse);
        slope[i] *= keep[i];
        delta += score[i] * slope[i];
      }
      for (std::size_t i = 0; i < score.size(); ++i) {
        const std::int64_t u = of.lo[t] + static_cast<std::int64_t>(i);
        const double gradient = score[i] * (slope[i] - delta) * s.scale;
        for (std::int64_t d = 0; d < s.head_dim; ++d) {
          const double kept = score[i] * keep[i];
          result.out[t * s.out_stride + q + d] += kept * qkv[u * s.q_stride + v + d];
          result.dqkv[u * s.q_stride + v + d] += kept * dout[t * s.out_stride + q + d];
          result.dqkv[t * s.q_stride + q + d] += gradient * qkv[u * s.q_stride + k + d];
          result.dqkv[u * s.q_stride + k + d] += gradient * qkv[t * s.q_stride + q + d];
        }
      }
    }
  }
  return result;
}

template <class T>
class AttentionTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(AttentionTest, StorageTypes);

TYPED_TEST(AttentionTest, EqualsADenseMaskedSoftmax) {
  using T = TypeParam;
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    const Arrays<T> actual = run_case<T>(each);
    const Reference expected = reference(each, actual);
    const AttentionShape& s = each.shape;
    // Gradients sum hundreds of products of order 1, and those of the 16-bit types rest on an
    // out that was rounded.
    const double factor = (sizeof(T) == 2 ? 8 : 4) * std::max(1.0, s.scale);
    for (std::int64_t i = 0; i < s.tokens * s.out_stride; ++i) {
      if (i % s.out_stride < s.heads * s.head_dim) {
        ASSERT_NEAR(to_double(actual.out[i]), expected.out[i], 2 * tolerance<T>()) << i;
      } else {
        ASSERT_TRUE(std::isnan(to_double(actual.out[i]))) << "wrote between tokens at " << i;
      }
    }
    for (std::size_t i = 0; i < expected.lse.size(); ++i) {
      if (std::isinf(expected.lse[i])) {
        ASSERT_EQ(actual.lse[i], expected.lse[i]);
      } else {
        ASSERT_NEAR(actual.lse[i], expected.lse[i],
                    tolerance<Accumulator<T>>() * std::max(1.0, s.scale));
      }
    }
    expect_close(actual.dqkv, expected.dqkv, factor * tolerance<T>());
  }
}

// Queries 70 and 80 see key 63 alone in their first tile of keys, 81 sees more of it.
TEST(AttentionValuesTest, AKeyThatIsNoNumberShowsInTheQueriesThatSeeIt) {
  Case of = fused_case("", 130, 1, 1, 16);
  of.lo[70] = of.lo[80] = 63;
  of.lo[90] = 64;
  const AttentionShape& s = of.shape;
  auto qkv = normals<float>(s.tokens * s.q_stride, 1);
  qkv[63 * s.q_stride + s.head_dim] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> out(s.tokens * s.out_stride), lse(s.tokens);
  attention_forward<float>(s, qkv.data(), qkv.data() + s.head_dim, qkv.data() + 2 * s.head_dim,
                           of.lo.data(), of.hi.data(), nullptr, out.data(), lse.data());
  for (const std::int64_t query : {0, 62, 63, 70, 80, 81, 90, 129}) {
    const bool sees = query >= 63 && query != 90;
    EXPECT_EQ(std::isnan(out[query * s.out_stride]), sees) << query;
    EXPECT_EQ(std::isnan(lse[query]), sees) << query;
  }
}

TEST(AttentionBitsTest, DoNotDependOnThreads) {
  for (const Case& each : cases()) {
    SCOPED_TRACE(each.name);
    expect_same_bits_on_any_threads([&] {
      Arrays<float> result = run_case<float>(each);
      append(result.dqkv, result.out);
      append(result.dqkv, result.lse);
      return result.dqkv;
    });
  }
}

TEST(AttentionBitsTest, OfADocumentDoNotDependOnItsPlaceInTheBatch) {
  const std::int64_t length = 90;
  const std::int64_t start = 37;
  Case alone = fused_case("alone", length, 2, 1, 32);
  Case packed = fused_case("behind another", start + length, 2, 1, 32);
  for (std::int64_t t = start; t < start + length; ++t) {
    packed.lo[t] = static_cast<std::int32_t>(start);
  }
  const AttentionShape& s = packed.shape;
  const std::int64_t k = s.heads * s.head_dim;
  const std::int64_t v = k + s.kv_heads * s.head_dim;
  const auto outputs = [&](const Case& of, const float* qkv, const float* dout) {
    const std::int64_t n = of.shape.tokens;
    std::vector<float> out(n * s.out_stride), dqkv(n * s.q_stride), lse(n * s.heads);
    std::vector<float> workspace(attention_backward_workspace(of.shape));
    attention_forward<float>(of.shape, qkv, qkv + k, qkv + v, of.lo.data(), of.hi.data(), nullptr,
                             out.data(), lse.data());
    attention_backward<float>(of.shape, dout, qkv, qkv + k, qkv + v, out.data(), lse.data(),
                              of.lo.data(), of.hi.data(), nullptr, dqkv.data(), dqkv.data() + k,
                              dqkv.data() + v, workspace.data());
    out.erase(out.begin(), out.end() - length * s.out_stride);
    dqkv.erase(dqkv.begin(), dqkv.end() - length * s.q_stride);
    append(out, dqkv);
    return out;
  };
  const auto qkv = normals<float>(s.tokens * s.q_stride, 1);
  const auto dout = normals<float>(s.tokens * s.out_stride, 2);
  EXPECT_TRUE(same_bits(
      outputs(packed, qkv.data(), dout.data()),
      outputs(alone, qkv.data() + start * s.q_stride, dout.data() + start * s.out_stride)));
}

TEST(AttentionChecksTest, WrongShapesAndIntervalsAreErrors) {
  float unused[64] = {};
  const auto call = [&](const Case& of) {
    attention_forward<float>(of.shape, unused, unused, unused, of.lo.data(), of.hi.data(), nullptr,
                             unused, unused);
  };
  Case heads = fused_case("", 1, 3, 2, 1);
  EXPECT_THROW(call(heads), Error);
  Case stride = fused_case("", 1, 2, 2, 4);
  stride.shape.q_stride = 7;
  EXPECT_THROW(call(stride), Error);
  Case beyond = fused_case("", 1, 1, 1, 4);
  beyond.hi[0] = 2;
  EXPECT_THROW(call(beyond), Error);
  Case before = fused_case("", 1, 1, 1, 4);
  before.lo[0] = -1;
  EXPECT_THROW(call(before), Error);
}

}  // namespace
}  // namespace cloze
