// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization") on a flat buffer.
#pragma once

#include <cmath>
#include <cstdint>

namespace cloze {

struct AdamWStep {
  double lr = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double bias_correction1 = 1.0;  // 1 - beta1^step.
  double bias_correction2 = 1.0;  // 1 - beta2^step.
  double gradient_scale = 1.0;    // Clipping, loss scale and mean over tokens in one factor.
};

// The factors of a step, rounded to Acc once: of every device's kernel.
template <class Acc>
struct AdamWFactors {
  explicit AdamWFactors(const AdamWStep& step)
      : gradient_scale(static_cast<Acc>(step.gradient_scale)),
        beta1(static_cast<Acc>(step.beta1)),
        one_minus_beta1(static_cast<Acc>(1.0 - step.beta1)),
        beta2(static_cast<Acc>(step.beta2)),
        one_minus_beta2(static_cast<Acc>(1.0 - step.beta2)),
        rate(static_cast<Acc>(step.lr / step.bias_correction1)),
        root_scale(static_cast<Acc>(1.0 / std::sqrt(step.bias_correction2))),
        eps(static_cast<Acc>(step.eps)),
        shrink(static_cast<Acc>(1.0 - step.lr * step.weight_decay)) {}

  Acc gradient_scale;
  Acc beta1;
  Acc one_minus_beta1;
  Acc beta2;
  Acc one_minus_beta2;
  Acc rate;        // lr / bias_correction1
  Acc root_scale;  // 1 / sqrt(bias_correction2)
  Acc eps;
  Acc shrink;  // 1 - lr * weight_decay
};

// One step on n elements, in one pass:
//   g = gradient * gradient_scale
//   exp_avg = beta1 * exp_avg + (1 - beta1) * g
//   exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g^2
//   master = master * (1 - lr * weight_decay)
//            - lr * (exp_avg / bias_correction1) / (sqrt(exp_avg_sq / bias_correction2) + eps)
// with one division for each element: AdamWFactors has the corrections as factors.
// `value`, when not null, receives master rounded to T.
// <T, Acc>: <double, double>, or <float | BFloat16 | Float16, float>.
template <class T, class Acc>
void adamw(Acc* master, T* value, const Acc* gradient, Acc* exp_avg, Acc* exp_avg_sq,
           std::int64_t n, const AdamWStep& step);

}  // namespace cloze
