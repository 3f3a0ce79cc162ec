// What others throw, LibTorch above all, as errors of ours.
#pragma once

#include <exception>

#include "parallel/base/check.h"

namespace cloze {

// One of ours as it is; others without LibTorch's backtrace. What a GPU's error means, by its
// number; a full device is kUsage, products on one that fails are kTransient, all else is
// kInternal.
Error error_of(const std::exception& thrown);

}  // namespace cloze
