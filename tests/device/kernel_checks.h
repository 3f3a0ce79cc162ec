// Every GPU kernel against the CPU kernel of the same name: odd sizes, misaligned and in-place
// arrays, poisoned outputs, all storage types. On a GPU, or emulated.
#pragma once

#include <string>
#include <type_traits>

#include "parallel/base/check.h"
#include "parallel/kernels/test_values.h"
#include "tests/device/device_memory.h"
#include "tests/device/report.h"

namespace cloze {

void check_norms(CheckReport& report);
void check_activations(CheckReport& report);
void check_biases(CheckReport& report);
void check_rotary(CheckReport& report);
void check_casts(CheckReport& report);
void check_embeddings(CheckReport& report);
void check_dropout(CheckReport& report);
void check_cross_entropy(CheckReport& report);
void check_adamw(CheckReport& report);
void check_sums(CheckReport& report);
// Of rows with NaNs and infinities, by all kernels but those of attention.
void check_values(CheckReport& report);
void check_attention(CheckReport& report);
// Of more than 1000 tokens: for a GPU alone; nothing when quick.
void check_long_attention(CheckReport& report);

// "bf16" and the like.
template <class T>
std::string type_name() {
  if (std::is_same_v<T, double>) return "f64";
  if (std::is_same_v<T, float>) return "f32";
  return std::is_same_v<T, BFloat16> ? "bf16" : "f16";
}

// Calls body(T{}) for the four storage types; for two of them when quick.
template <class Body>
void for_storage_types(const CheckReport& report, const Body& body) {
  body(float{});
  body(BFloat16{});
  if (report.quick()) return;
  body(double{});
  body(Float16{});
}

}  // namespace cloze
