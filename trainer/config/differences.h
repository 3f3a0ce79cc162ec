// What differs between the config of a checkpoint and the one given now, and whether a resumed
// run may differ in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

enum class DifferenceClass : std::uint8_t {
  kHarmless,     // Layout, threads, names, logging, saving, validation: printed.
  kRunChanging,  // Another run from here on: needs --allow-change KEY, printed and journaled.
  kForbidden,    // The weights would mean something else: start a run with run.initial.
};

struct Difference {
  std::string key;     // "optimizer.lr"
  std::string before;  // The checkpoint's value, as YAML.
  std::string after;   // The value given now, as YAML.
  DifferenceClass kind;
  bool operator==(const Difference&) const = default;
};

// Both are resolved Runs. In the order of the schema.
std::vector<Difference> find_differences(const config::Run& before, const config::Run& after);

// Throws Error(kUsage) that lists every forbidden difference and every run-changing one that
// `allowed` (the keys of --allow-change) does not name, and every name that is no key.
void check_differences(const std::vector<Difference>& differences,
                       const std::vector<std::string>& allowed);

// "optimizer.lr: 0.0003 -> 0.0001 (run-changing)"
std::string text_of(const Difference& difference);

}  // namespace cloze
