// A hostfile of mpirun: which hosts run ranks, and how many each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

struct Host {
  std::string name{};      // Perhaps with the user to log in as: user@name.
  std::int64_t slots = 0;  // Ranks it takes before it is crowded.
  bool operator==(const Host&) const = default;
};

// One host a line: "NAME slots=N", perhaps with max_slots=N; # begins a comment. A line without
// slots counts as one; lines of the same host add up. `file` is the name that errors show.
// Throws Error kUsage with file:line of everything that is wrong.
std::vector<Host> parse_hostfile(std::string_view text, const std::string& file);

// The same of a file; kUsage when it is missing or no file.
std::vector<Host> read_hostfile(const std::filesystem::path& path);

// Throws Error kUsage when the hosts have fewer slots than `num_ranks`.
void check_slots(const std::vector<Host>& hosts, int num_ranks, const std::string& file);

}  // namespace cloze
