// Attention: masks, shared kv heads, strides, widths, dropout, a cache, what is no number.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "parallel/kernels/attention.h"
#include "parallel/kernels/cuda/attention.h"
#include "tests/device/attention_errors.h"
#include "tests/device/kernel_checks.h"

namespace cloze {
namespace {

// An element of q, k and v's buffer.
struct Placed {
  std::int64_t at;
  double value;
};

struct AttentionCase {
  std::string name;
  AttentionShape shape;
  std::vector<std::int32_t> lo;
  std::vector<std::int32_t> hi;
  std::vector<std::int64_t> ordinals;
  std::vector<std::int32_t> index_in_row;
  double p = 0.0;
  bool misaligned = false;
  std::vector<Placed> values{};      // The others are normal.
  double largest_score = 1.0;        // Its order.
  std::int64_t first_untouched = 0;  // No token from here on shares a tile with what is no number.
};

// Causal, with q, k and v side by side in a buffer whose rows are `gap` elements longer.
AttentionCase causal(const std::string& name, std::int64_t tokens, std::int64_t heads,
                     std::int64_t kv_heads, std::int64_t head_dim, std::int64_t gap = 0) {
  AttentionCase made;
  made.name = name;
  const std::int64_t row = (heads + 2 * kv_heads) * head_dim + gap;
  made.shape = {.tokens = tokens,
                .heads = heads,
                .kv_heads = kv_heads,
                .head_dim = head_dim,
                .q_stride = row,
                .kv_stride = row,
                .out_stride = heads * head_dim + gap,
                .scale = 1.0 / std::sqrt(static_cast<double>(head_dim))};
  for (std::int64_t t = 0; t < tokens; ++t) {
    made.lo.push_back(0);
    made.hi.push_back(static_cast<std::int32_t>(t + 1));
    made.ordinals.push_back(t / 40);
    made.index_in_row.push_back(static_cast<std::int32_t>(t % 40));
  }
  return made;
}

// Documents of these lengths, each with a prefix of a third that sees itself as a whole; a token
// between two documents sees nothing.
AttentionCase documents(AttentionCase made, const std::vector<std::int64_t>& lengths) {
  made.name += " documents";
  std::int64_t start = 0;
  for (const std::int64_t length : lengths) {
    for (std::int64_t i = 0; i < length; ++i) {
      made.lo[start + i] = static_cast<std::int32_t>(start);
      made.hi[start + i] = static_cast<std::int32_t>(start + std::max(length / 3, i + 1));
    }
    start += length;
    if (start < made.shape.tokens) {
      made.lo[start] = 3;
      made.hi[start] = 3;
      ++start;
    }
  }
  for (std::int64_t t = start; t < made.shape.tokens; ++t) made.hi[t] = 0;
  return made;
}

std::vector<AttentionCase> attention_cases() {
  std::vector<AttentionCase> cases = {
      causal("one token", 1, 1, 1, 8),
      causal("causal", 70, 4, 2, 64),
      documents(causal("shared heads", 150, 4, 1, 32), {37, 64, 40}),
      documents(causal("wide", 130, 2, 1, 128), {60, 5, 50}),
      causal("six heads of one", 40, 6, 1, 64),
      causal("odd", 21, 3, 3, 7, 2),
      causal("between widths", 33, 2, 2, 80, 16),
      causal("widest", 40, 2, 1, 256)};
  AttentionCase window = causal("window", 200, 2, 1, 64);
  for (std::int64_t t = 90; t < 200; ++t) window.lo[t] = static_cast<std::int32_t>(t - 89);
  cases.push_back(window);
  AttentionCase dropped = documents(causal("dropout", 80, 2, 1, 64), {40, 39});
  dropped.p = 0.3;
  cases.push_back(dropped);
  AttentionCase misaligned = causal("misaligned", 66, 2, 1, 64);
  misaligned.misaligned = true;
  cases.push_back(misaligned);
  AttentionCase nothing = causal("nothing seen", 5, 1, 1, 16);
  nothing.hi.assign(5, 0);
  cases.push_back(nothing);
  return cases;
}

// Two documents that share no tile, of tokens [0, 120) and [128, 160), with one kv head.
AttentionCase apart(const std::string& name, std::int64_t head_dim, double p) {
  AttentionCase made = documents(causal(name, 160, 2, 1, head_dim), {120, 6, 32});
  made.name = str(name, " of ", head_dim, p > 0.0 ? ", dropout" : "");
  for (std::int64_t t = 120; t < 128; ++t) made.hi[t] = 0;
  made.p = p;
  return made;
}

// With NaNs and infinities in the first document.
std::vector<AttentionCase> no_number_cases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<AttentionCase> cases;
  const auto add = [&](AttentionCase made, std::int64_t first, std::int64_t last, std::int64_t head,
                       double value) {
    for (std::int64_t token = first; token < last; ++token) {
      const std::int64_t at = token * made.shape.q_stride + head * made.shape.head_dim;
      made.values.push_back({at, value});
    }
    made.first_untouched = 128;
    cases.push_back(made);
  };
  add(apart("NaN in the first keys", 64, 0.0), 0, 64, 2, kNaN);
  add(apart("NaN in a later key", 64, 0.0), 100, 101, 2, kNaN);
  add(apart("NaN in a query", 64, 0.0), 40, 41, 1, kNaN);
  add(apart("an infinite key", 64, 0.0), 0, 1, 2, kInfinity);
  add(apart("NaN in the first keys", 64, 0.3), 0, 64, 2, kNaN);
  add(apart("NaN in the first keys", 7, 0.0), 0, 64, 2, kNaN);
  add(apart("NaN in a query", 7, 0.0), 40, 41, 1, kNaN);
  add(apart("NaN in the first keys", 128, 0.0), 0, 64, 2, kNaN);
  add(apart("NaN in the first keys", 144, 0.0), 0, 64, 2, kNaN);
  return cases;
}

// Key 90 has all of the attention of the queries that see it: its scores are larger by 10^4. Some
// see none of the keys of earlier tiles, 110 and 111 see it alone.
AttentionCase far_apart(std::int64_t head_dim, double p) {
  AttentionCase made = apart("scores far apart", head_dim, p);
  for (std::int64_t t = 92; t < 120; ++t) made.lo[t] = t % 2 == 0 ? 0 : 70;
  made.lo[110] = made.lo[111] = 90;
  made.hi[110] = made.hi[111] = 91;
  made.largest_score = 256.0 * 320.0 * made.shape.scale;
  for (std::int64_t t = 0; t < made.shape.tokens; ++t) {
    const std::int64_t at = t * made.shape.q_stride;
    made.values.push_back({at, 256.0});
    made.values.push_back({at + head_dim, 256.0});
    made.values.push_back({at + 2 * head_dim, t == 90 ? 320.0 : 0.0});
  }
  return made;
}

enum class Known : std::uint8_t { kAsOnTheCpu, kNaN, kNothing };

// What is known of each gradient, a bit per element of q, k and v's buffer. A query that sees a NaN
// has NaNs for gradients, and so has all that it sees. What shares a tile with either may have
// some, for 0 times NaN is NaN, and which does depends on the tiles' size.
std::vector<Known> known_gradients(const AttentionCase& of, const std::vector<double>& lse) {
  const AttentionShape& s = of.shape;
  std::vector<Known> known(s.tokens * s.q_stride, Known::kAsOnTheCpu);
  std::fill_n(known.begin(), of.first_untouched * s.q_stride, Known::kNothing);
  const auto set = [&](std::int64_t token, std::int64_t head) {
    std::fill_n(known.begin() + token * s.q_stride + head * s.head_dim, s.head_dim, Known::kNaN);
  };
  for (std::int64_t head = 0; head < s.heads; ++head) {
    const std::int64_t kv_head = s.heads + head / (s.heads / s.kv_heads);
    for (std::int64_t query = 0; query < of.first_untouched; ++query) {
      if (!std::isnan(lse[head * s.tokens + query])) continue;
      set(query, head);
      for (std::int64_t key = of.lo[query]; key < of.hi[query]; ++key) {
        set(key, kv_head);
        set(key, kv_head + s.kv_heads);
      }
    }
  }
  return known;
}

// Without the gradients of which nothing is known.
std::vector<double> only_known(std::vector<double> gradients, const std::vector<Known>& known) {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (known[i] == Known::kNothing) gradients[i] = 0.0;
  }
  return gradients;
}

// Of the 16-bit types, whose kernels round between the products: beside what float may do.
template <class T>
RoundingError rounding_error(const AttentionCase& of) {
  // A score's own rounding, and that of lse, are a share of every probability.
  if (of.largest_score > 1.0) {
    const double of_scores = 8 * of.largest_score * std::numeric_limits<Accumulator<T>>::epsilon();
    return {.relative = (sizeof(T) == 2 ? 0x1p-8 : 0.0) + of_scores, .absolute = 0x1p-25};
  }
  if (sizeof(T) != 2) return {};
  if (std::is_same_v<T, BFloat16>) return {.relative = 0x1p-8, .absolute = 0x1p-134};
  return {.relative = 0x1p-11, .absolute = 0x1p-25};
}

template <class T>
void check_case(CheckReport& report, const AttentionCase& of) {
  using A = Accumulator<T>;
  const AttentionShape& s = of.shape;
  const std::int64_t k = s.heads * s.head_dim;
  const std::int64_t v = k + s.kv_heads * s.head_dim;
  auto qkv = normals<T>(s.tokens * s.q_stride, 1);
  for (const Placed& placed : of.values) qkv[placed.at] = to_stored<T>(placed.value);
  const auto dout = normals<T>(s.tokens * s.out_stride, 2);
  const auto run = [&]<class E>(const E* from, const E* gradient, AttentionDropout* dropout, E* out,
                                auto* lse, E* dqkv) {
    attention_forward<E>(s, from, from + k, from + v, of.lo.data(), of.hi.data(), dropout, out,
                         lse);
    std::vector<Accumulator<E>> workspace(attention_backward_workspace(s));
    attention_backward<E>(s, gradient, from, from + k, from + v, out, lse, of.lo.data(),
                          of.hi.data(), dropout, dqkv, dqkv + k, dqkv + v, workspace.data());
  };
  AttentionDropout dropout{.p = of.p,
                           .seed = 99,
                           .layer = 3,
                           .ordinals = of.ordinals.data(),
                           .index_in_row = of.index_in_row.data(),
                           .first_head = 2,
                           .seq_length = 1000};
  auto out = poisoned<double>(s.tokens * s.out_stride);
  auto lse = poisoned<double>(s.heads * s.tokens);
  auto dqkv = poisoned<double>(s.tokens * s.q_stride);
  run(doubles(qkv).data(), doubles(dout).data(), of.p > 0.0 ? &dropout : nullptr, out.data(),
      lse.data(), dqkv.data());
  const std::vector<Known> known = known_gradients(of, lse);
  AttentionErrors largest;
  if (sizeof(T) == 2 || of.largest_score > 1.0) {
    const auto exact_qkv = doubles(qkv);
    const auto exact_dout = doubles(dout);
    largest = attention_errors({.shape = s,
                                .lo = of.lo,
                                .hi = of.hi,
                                .dropped = of.p,
                                .qkv = exact_qkv,
                                .dout = exact_dout,
                                .out = out,
                                .lse = lse,
                                .dqkv = dqkv},
                               rounding_error<T>(of));
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (known[i] == Known::kNaN) dqkv[i] = std::numeric_limits<double>::quiet_NaN();
  }
  // Of the arithmetic in A: gradients sum hundreds of products of order 1.
  const double of_sums = 4 * tolerance<A>();
  report.check(str("attention ", type_name<T>(), " ", of.name),
               {{"out", out, of_sums, largest.out},
                {"lse", lse, tolerance<A>()},
                {"dqkv", only_known(dqkv, known), of_sums, largest.dqkv}},
               [&]() -> std::vector<std::vector<double>> {
                 DeviceArray<T> d_qkv(qkv, of.misaligned), d_dout(dout);
                 DeviceArray<T> d_out(poisoned<T>(s.tokens * s.out_stride));
                 DeviceArray<T> d_dqkv(poisoned<T>(s.tokens * s.q_stride), of.misaligned);
                 DeviceArray<A> d_lse(poisoned<A>(s.heads * s.tokens));
                 DeviceArray<std::int32_t> d_lo(of.lo), d_hi(of.hi), d_index(of.index_in_row);
                 DeviceArray<std::int64_t> d_ordinals(of.ordinals);
                 auto workspace = device_workspace(cuda::attention_backward_workspace<T>(s));
                 AttentionDropout on_device = dropout;
                 on_device.ordinals = d_ordinals.data();
                 on_device.index_in_row = d_index.data();
                 const AttentionDropout* const given = of.p > 0.0 ? &on_device : nullptr;
                 T* const q = d_qkv.data();
                 T* const dq = d_dqkv.data();
                 cuda::attention_forward<T>(s, q, q + k, q + v, d_lo.data(), d_hi.data(), given,
                                            d_out.data(), d_lse.data(), nullptr);
                 cuda::attention_backward<T>(s, d_dout.data(), q, q + k, q + v, d_out.data(),
                                             d_lse.data(), d_lo.data(), d_hi.data(), given, dq,
                                             dq + k, dq + v, workspace.data(), nullptr);
                 return {doubles(d_out.read()), doubles(d_lse.read()),
                         only_known(doubles(d_dqkv.read()), known)};
               });
}

// A few queries against a cache of keys and values that lies apart.
template <class T>
void check_cache(CheckReport& report, std::int64_t tokens, std::int64_t kv_tokens,
                 std::int64_t head_dim) {
  using A = Accumulator<T>;
  const AttentionShape shape{.tokens = tokens,
                             .heads = 4,
                             .kv_heads = 2,
                             .head_dim = head_dim,
                             .q_stride = 4 * head_dim,
                             .kv_stride = 2 * head_dim,
                             .out_stride = 4 * head_dim,
                             .scale = 0.2,
                             .kv_tokens = kv_tokens};
  const auto q = normals<T>(tokens * shape.q_stride, 1);
  const auto k = normals<T>(kv_tokens * shape.kv_stride, 2);
  const auto v = normals<T>(kv_tokens * shape.kv_stride, 3);
  std::vector<std::int32_t> lo, hi;
  for (std::int64_t t = 0; t < tokens; ++t) {
    lo.push_back(static_cast<std::int32_t>(2 * t));
    hi.push_back(static_cast<std::int32_t>(kv_tokens - tokens + t + 1));
  }
  std::vector<double> out(tokens * shape.out_stride), lse(shape.heads * tokens);
  attention_forward<double>(shape, doubles(q).data(), doubles(k).data(), doubles(v).data(),
                            lo.data(), hi.data(), nullptr, out.data(), lse.data());
  report.check(
      str("attention ", type_name<T>(), " ", tokens, " of a cache of ", kv_tokens, "x", head_dim),
      {{"out", out, 2 * tolerance<T>()}, {"lse", lse, tolerance<A>()}},
      [&]() -> std::vector<std::vector<double>> {
        DeviceArray<T> d_q(q), d_k(k), d_v(v), d_out(poisoned<T>(tokens * shape.out_stride));
        DeviceArray<A> d_lse(poisoned<A>(shape.heads * tokens));
        DeviceArray<std::int32_t> d_lo(lo), d_hi(hi);
        cuda::attention_forward<T>(shape, d_q.data(), d_k.data(), d_v.data(), d_lo.data(),
                                   d_hi.data(), nullptr, d_out.data(), d_lse.data(), nullptr);
        return {doubles(d_out.read()), doubles(d_lse.read())};
      });
}

// Many tiles of keys for a query, for tiles of every size, and rests.
std::vector<AttentionCase> long_cases() {
  AttentionCase window = causal("long window", 1500, 2, 2, 64);
  for (std::int64_t t = 700; t < 1500; ++t) window.lo[t] = static_cast<std::int32_t>(t - 699);
  return {causal("long causal", 1100, 4, 1, 128), causal("long odd", 1030, 2, 1, 72),
          documents(causal("long", 1333, 4, 2, 64), {700, 1, 431, 199}), window};
}

}  // namespace

void check_long_attention(CheckReport& report) {
  if (report.quick()) return;
  for_storage_types(report, [&](auto type) {
    for (const AttentionCase& each : long_cases()) check_case<decltype(type)>(report, each);
  });
}

void check_attention(CheckReport& report) {
  for_storage_types(report, [&](auto type) {
    using T = decltype(type);
    for (const AttentionCase& each : attention_cases()) check_case<T>(report, each);
    for (const AttentionCase& each : no_number_cases()) check_case<T>(report, each);
    check_case<T>(report, far_apart(64, 0.0));
    check_case<T>(report, far_apart(64, 0.3));
    check_case<T>(report, far_apart(128, 0.0));
    check_cache<T>(report, 1, 90, 64);
    check_cache<T>(report, 3, 70, 128);
  });
}

}  // namespace cloze
