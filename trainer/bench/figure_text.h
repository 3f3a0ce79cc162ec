// Measured numbers as people read them.
#pragma once

#include <string>

#include "trainer/doctor/check_result.h"

namespace cloze {

// "1.25 GB/s": as `cloze doctor` writes them.
template <typename Number>
std::string text_of(Number number, const char* unit) {
  return value_text({.value = number, .unit = unit});
}

}  // namespace cloze
