// Which file system a folder lies on, and what room it has.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/doctor/check_result.h"

namespace cloze {

struct Mount {
  std::string point{};   // "/home".
  std::string type{};    // "nfs4".
  std::string source{};  // "server:/export".
  bool read_only = false;

  bool operator==(const Mount&) const = default;
};

// /proc/self/mountinfo, in its order.
std::vector<Mount> parse_mountinfo(std::string_view text);

// The mount that `path`, absolute and without links, lies on: the last one mounted there wins.
std::optional<Mount> mount_of(const std::vector<Mount>& mounts, const std::filesystem::path& path);

enum class FileSystemKind : std::uint8_t { kLocal, kNetwork, kMemory, kContainer };
FileSystemKind kind_of(std::string_view type);

// What is left for this user.
struct Space {
  std::int64_t free_bytes = 0;
  std::int64_t total_bytes = 0;
  std::int64_t free_inodes = 0;
  std::int64_t total_inodes = 0;  // 0: the file system does not count them.
};

// Nothing when the folder is not there.
std::optional<Space> space_of(const std::filesystem::path& folder);

// disk.type of the folder of checkpoints.
CheckResult check_file_system(const std::optional<Mount>& mount);
// disk.free and disk.inodes of it.
std::vector<CheckResult> check_space(const std::optional<Space>& space);

}  // namespace cloze
