// What the bits of a run's numbers depend on besides its config: the build, the libraries, the
// processor, and the environment where it steers them. Threads are not among them. Every checkpoint
// holds it; a resumed run tells what has changed.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace cloze {

// Names of facts to their values: "libtorch" to "2.11.0".
using Numerics = std::map<std::string, std::string>;

// The program and its libraries, which all ranks must share. `program` is the executable file,
// `gpu_kernels` the library of kernels, empty on a CPU; their content names them.
Numerics build_of(const std::filesystem::path& program = "/proc/self/exe",
                  const std::filesystem::path& gpu_kernels = {});

// The build and what may differ from rank to rank: processor, instruction set, environment. Throws
// Error kUsage when a variable of the environment is malformed.
Numerics numerics_of_process(const Numerics& build);

// What all ranks have; where they differ, the value says which rank has what.
struct JobNumerics {
  Numerics facts;
  std::vector<std::string> mixed;  // Names of the facts in which the ranks differ.
};
JobNumerics gather_numerics(Communicator& world, const Numerics& mine);

struct NumericsChange {
  std::string name;
  std::string before;  // "none" when it was not there.
  std::string after;
  bool operator==(const NumericsChange&) const = default;
};
// In the order of the names.
std::vector<NumericsChange> find_changes(const Numerics& before, const Numerics& after);
// "processor: A -> B"
std::string text_of(const NumericsChange& change);
std::string text_of(const std::vector<NumericsChange>& changes);

// As one text that travels between ranks, and back.
std::string packed(const Numerics& numerics);
Numerics unpacked(const std::string& text);

}  // namespace cloze
