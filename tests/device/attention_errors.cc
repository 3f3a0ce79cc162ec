// First-order error propagation through the sums of attention, all terms by their magnitudes.
#include "tests/device/attention_errors.h"

#include <cmath>

namespace cloze {
namespace {

class Propagation {
 public:
  Propagation(const ExactAttention& exact, const RoundingError& rounding)
      : exact_(exact),
        shape_(exact.shape),
        rounding_(rounding),
        k_offset_(shape_.heads * shape_.head_dim),
        v_offset_(k_offset_ + shape_.kv_heads * shape_.head_dim),
        keep_scale_(1.0 / (1.0 - exact.dropped)) {
    errors_.out.assign(exact.out.size(), 0.0);
    errors_.dqkv.assign(exact.dqkv.size(), 0.0);
  }

  AttentionErrors run() {
    for (std::int64_t head = 0; head < shape_.heads; ++head) {
      for (std::int64_t query = 0; query < shape_.tokens; ++query) {
        if (exact_.lo[query] >= exact_.hi[query]) continue;
        forward(head, query);
        backward(head, query);
      }
    }
    for (std::size_t i = 0; i < errors_.dqkv.size(); ++i) {
      errors_.dqkv[i] += error_of(exact_.dqkv[i]);
    }
    return std::move(errors_);
  }

 private:
  double error_of(double value) const {
    return rounding_.relative * std::abs(value) + rounding_.absolute;
  }
  std::int64_t kv_offset(std::int64_t head) const {
    return head / (shape_.heads / shape_.kv_heads) * shape_.head_dim;
  }
  const double* row(std::int64_t token, std::int64_t offset) const {
    return exact_.qkv.data() + token * shape_.q_stride + offset;
  }
  double* error_row(std::int64_t token, std::int64_t offset) {
    return errors_.dqkv.data() + token * shape_.q_stride + offset;
  }
  double product(const double* a, const double* b) const {
    double sum = 0.0;
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) sum += a[d] * b[d];
    return sum;
  }
  double probability(std::int64_t head, std::int64_t query, std::int64_t key) const {
    const double score =
        product(row(query, head * shape_.head_dim), row(key, k_offset_ + kv_offset(head)));
    return std::exp(score * shape_.scale - exact_.lse[head * shape_.tokens + query]);
  }

  // out = sum of weight * v.
  void forward(std::int64_t head, std::int64_t query) {
    const std::int64_t at = query * shape_.out_stride + head * shape_.head_dim;
    for (std::int64_t key = exact_.lo[query]; key < exact_.hi[query]; ++key) {
      const double error = error_of(probability(head, query, key) * keep_scale_);
      const double* v = row(key, v_offset_ + kv_offset(head));
      for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
        errors_.out[at + d] += error * std::abs(v[d]);
      }
    }
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      errors_.out[at + d] += error_of(exact_.out[at + d]);
    }
  }

  // slope = probability * (dout v - delta) * scale, delta = dout out; dq = sum of slope * k,
  // dk = sum of slope * q, dv = sum of weight * dout.
  void backward(std::int64_t head, std::int64_t query) {
    const std::int64_t at = query * shape_.out_stride + head * shape_.head_dim;
    const double* dout = exact_.dout.data() + at;
    const double delta = product(dout, exact_.out.data() + at);
    double delta_error = 0.0;
    for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
      delta_error += std::abs(dout[d]) * errors_.out[at + d];
    }
    const double* q = row(query, head * shape_.head_dim);
    double* dq_error = error_row(query, head * shape_.head_dim);
    for (std::int64_t key = exact_.lo[query]; key < exact_.hi[query]; ++key) {
      const double p = probability(head, query, key);
      const double reach = product(dout, row(key, v_offset_ + kv_offset(head)));
      const double size = exact_.dropped > 0.0 ? std::abs(reach) * keep_scale_ + std::abs(delta)
                                               : std::abs(reach - delta);
      const double slope_error = error_of(p * size * shape_.scale) + p * delta_error * shape_.scale;
      const double weight_error = error_of(p * keep_scale_);
      const double* k = row(key, k_offset_ + kv_offset(head));
      double* dk_error = error_row(key, k_offset_ + kv_offset(head));
      double* dv_error = error_row(key, v_offset_ + kv_offset(head));
      for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
        dq_error[d] += slope_error * std::abs(k[d]);
        dk_error[d] += slope_error * std::abs(q[d]);
        dv_error[d] += weight_error * std::abs(dout[d]);
      }
    }
  }

  const ExactAttention& exact_;
  const AttentionShape& shape_;
  RoundingError rounding_;
  std::int64_t k_offset_;
  std::int64_t v_offset_;
  double keep_scale_;
  AttentionErrors errors_;
};

}  // namespace

AttentionErrors attention_errors(const ExactAttention& exact, const RoundingError& rounding) {
  return Propagation(exact, rounding).run();
}

}  // namespace cloze
