#include "trainer/loop/numerics.h"

#include <ATen/Version.h>
#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <sstream>
#include <string_view>

#include "parallel/base/file.h"
#include "parallel/comm/groups.h"
#include "trainer/checkpoint/digest.h"
#include "trainer/loop/agreement.h"

namespace cloze {
namespace {

std::string digest_of_file(const std::filesystem::path& path) {
  constexpr std::int64_t kChunk = 1 << 20;  // Bytes.
  const File file = File::open_for_reading(path);
  std::vector<std::byte> chunk(kChunk);
  Digester digester;
  const std::int64_t size = file.size();
  for (std::int64_t offset = 0; offset < size; offset += kChunk) {
    const std::span<std::byte> part(chunk.data(),
                                    static_cast<std::size_t>(std::min(kChunk, size - offset)));
    file.read_at(offset, part);
    digester.update(part);
  }
  return digester.finish().hex();
}

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

// The names in either, in order.
std::vector<std::string> names_of(const Numerics& first, const Numerics& second) {
  Numerics all = first;
  all.insert(second.begin(), second.end());
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const auto& [name, value] : all) names.push_back(name);
  return names;
}

}  // namespace

Numerics build_of(const std::filesystem::path& program) {
  return {{"program", digest_of_file(program)},
          {"libtorch", libtorch_version()},
          {"mkl", at::get_mkl_version()},
          {"onednn", at::get_mkldnn_version()}};
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
    std::string text;
    for (const auto& [held, where] : holders) {
      text += str(text.empty() ? "" : "; ", held, " on ", ranks_text(where));
    }
    job.facts[name] = text;
    job.mixed.push_back(name);
  }
  return job;
}

std::vector<NumericsChange> find_changes(const Numerics& before, const Numerics& after) {
  std::vector<NumericsChange> changes;
  for (const std::string& name : names_of(before, after)) {
    NumericsChange change{name, value_or_none(before, name), value_or_none(after, name)};
    if (change.before != change.after) changes.push_back(change);
  }
  return changes;
}

std::string text_of(const NumericsChange& change) {
  return str(change.name, ": ", change.before, " -> ", change.after);
}

std::string text_of(const std::vector<NumericsChange>& changes) {
  std::string text;
  for (const NumericsChange& change : changes) {
    text += str(text.empty() ? "" : ", ", text_of(change));
  }
  return text;
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
