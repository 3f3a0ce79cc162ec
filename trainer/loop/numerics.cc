#include "trainer/loop/numerics.h"

#include <ATen/Version.h>
#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <string_view>

#include "data/content_digest.h"
#include "parallel/base/file.h"
#include "parallel/base/join.h"
#include "parallel/comm/groups.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

// The version that LibTorch was built as, from its own description: headers may be another's.
std::string libtorch_version() {
  constexpr std::string_view kName = "TORCH_VERSION=";
  const std::string description = at::show_config();
  const std::size_t found = description.find(kName);
  if (found == std::string::npos) return "unknown";
  const std::size_t begin = found + kName.size();
  return description.substr(begin, description.find_first_of(", \n", begin) - begin);
}

// The name that the processor gives itself.
std::string processor_name() {
  constexpr unsigned kFirst = 0x80000002;  // Of three leaves with 16 letters each.
  constexpr unsigned kNumLeaves = 3;
  std::array<unsigned, 4 * kNumLeaves> words{};
  for (unsigned leaf = 0; leaf < kNumLeaves; ++leaf) {
    unsigned* part = words.data() + std::size_t{4} * leaf;
    if (__get_cpuid(kFirst + leaf, &part[0], &part[1], &part[2], &part[3]) == 0) return "unknown";
  }
  std::array<char, sizeof words + 1> letters{};
  std::memcpy(letters.data(), words.data(), sizeof words);
  std::string name(letters.data());
  name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
  name.erase(name.find_last_not_of(' ') + 1);
  return name;
}

std::string value_or_none(const Numerics& numerics, const std::string& name) {
  const auto found = numerics.find(name);
  return found == numerics.end() ? "none" : found->second;
}

}  // namespace

Numerics build_of(const std::filesystem::path& program, const std::filesystem::path& gpu_kernels) {
  Numerics build = {{"program", hex_of(digest_of(File::open_for_reading(program)))},
                    {"libtorch", libtorch_version()},
                    {"mkl", at::get_mkl_version()},
                    {"onednn", at::get_mkldnn_version()}};
  if (!gpu_kernels.empty()) {
    build["gpu_kernels"] = hex_of(digest_of(File::open_for_reading(gpu_kernels)));
  }
  return build;
}

Numerics numerics_of_process(const Numerics& build) {
  Numerics numerics = build;
  numerics["processor"] = processor_name();
  numerics["instruction_set"] = at::get_cpu_capability();
  for (const auto& [name, value] : numerics_of_environment()) numerics[name] = value;
  return numerics;
}

JobNumerics gather_numerics(Communicator& world, const Numerics& mine) {
  std::vector<Numerics> ranks;
  Numerics all;
  for (const std::string& text : gather_texts(world, packed(mine))) {
    ranks.push_back(unpacked(text));
    all.insert(ranks.back().begin(), ranks.back().end());
  }
  JobNumerics job;
  for (const auto& [name, value] : all) {
    std::map<std::string, std::vector<int>> holders;
    for (int rank = 0; rank < world.size(); ++rank) {
      holders[value_or_none(ranks[static_cast<std::size_t>(rank)], name)].push_back(rank);
    }
    if (holders.size() == 1) {
      job.facts[name] = value;
      continue;
    }
    std::vector<std::string> texts;
    texts.reserve(holders.size());
    for (const auto& [held, where] : holders) texts.push_back(str(held, " on ", ranks_text(where)));
    job.facts[name] = join(texts, "; ");
    job.mixed.push_back(name);
  }
  return job;
}

std::vector<NumericsChange> find_changes(const Numerics& before, const Numerics& after) {
  Numerics all = before;
  all.insert(after.begin(), after.end());
  std::vector<NumericsChange> changes;
  for (const auto& [name, value] : all) {
    NumericsChange change{name, value_or_none(before, name), value_or_none(after, name)};
    if (change.before != change.after) changes.push_back(change);
  }
  return changes;
}

std::string text_of(const NumericsChange& change) {
  return str(change.name, ": ", change.before, " -> ", change.after);
}

std::string text_of(const std::vector<NumericsChange>& changes) {
  std::vector<std::string> texts;
  texts.reserve(changes.size());
  for (const NumericsChange& change : changes) texts.push_back(text_of(change));
  return join(texts);
}

std::string packed(const Numerics& numerics) {
  std::string text;
  for (auto [name, value] : numerics) {
    // A line each; what the environment holds may be anything.
    std::replace_if(
        value.begin(), value.end(),
        [](char letter) { return static_cast<unsigned char>(letter) < 0x20; }, ' ');
    text += str(name, "=", value, "\n");
  }
  return text;
}

Numerics unpacked(const std::string& text) {
  Numerics numerics;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = std::min(line.find('='), line.size());
    numerics[line.substr(0, equals)] = line.substr(std::min(equals + 1, line.size()));
  }
  return numerics;
}

}  // namespace cloze
