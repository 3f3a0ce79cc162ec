#include "trainer/doctor/mounts.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <array>

#include "parallel/base/check.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// The kernel writes blanks and backslashes of names as three octal digits: "\040".
std::string unescaped(std::string_view text) {
  const auto is_octal = [](char letter) { return letter >= '0' && letter <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool lies_in(const std::string& path, const std::string& folder) {
  if (folder == "/" || path == folder) return true;
  return path.starts_with(folder) && path[folder.size()] == '/';
}

bool has_option(std::string_view options, std::string_view wanted) {
  const auto all = parts_of(options, ',');
  return std::ranges::find(all, wanted) != all.end();
}

}  // namespace

std::vector<Mount> parse_mountinfo(std::string_view text) {
  std::vector<Mount> mounts;
  for (const std::string_view line : lines_of(text)) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER_OPTIONS
    const auto words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 7 || words.end() - dash < 3 || dash - words.begin() < 6) continue;
    mounts.push_back({.point = unescaped(words[4]),
                      .type = std::string(dash[1]),
                      .source = unescaped(dash[2]),
                      .read_only = has_option(words[5], "ro") ||
                                   (words.end() - dash > 3 && has_option(dash[3], "ro"))});
  }
  return mounts;
}

std::optional<Mount> mount_of(const std::vector<Mount>& mounts, const std::filesystem::path& path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    if (!lies_in(path.string(), mount.point)) continue;
    if (best == nullptr || mount.point.size() >= best->point.size()) best = &mount;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

FileSystemKind kind_of(std::string_view type) {
  constexpr std::array kNetwork = {"nfs",       "nfs4",     "cifs",     "smb3",  "smbfs",
                                   "9p",        "lustre",   "gpfs",     "ceph",  "beegfs",
                                   "afs",       "pvfs2",    "orangefs", "panfs", "wekafs",
                                   "glusterfs", "virtiofs", "ocfs2",    "gfs2"};
  constexpr std::array kMemory = {"tmpfs", "ramfs", "rootfs", "hugetlbfs", "devtmpfs"};
  // FUSE may be anything; what people mount so are remote stores.
  if (std::ranges::find(kNetwork, type) != kNetwork.end() || type.starts_with("fuse")) {
    return FileSystemKind::kNetwork;
  }
  if (std::ranges::find(kMemory, type) != kMemory.end()) return FileSystemKind::kMemory;
  if (type == "overlay" || type == "aufs") return FileSystemKind::kContainer;
  return FileSystemKind::kLocal;
}

CheckResult check_file_system(const std::optional<Mount>& mount) {
  if (!mount) return unknown("disk.type", "/proc/self/mountinfo does not show it");
  CheckResult check{.name = "disk.type", .value = mount->type};
  check.detail = str("mounted at ", mount->point);
  switch (kind_of(mount->type)) {
    case FileSystemKind::kLocal:
      break;
    case FileSystemKind::kNetwork:
      check.detail += str(" from ", mount->source,
                          "; a network file system: its speed is shared, its fsync must be true");
      break;
    case FileSystemKind::kMemory:
      complain(check, Status::kWarn,
               "it is memory: checkpoints take it away from the run and end with the host",
               "name a folder on a disk with --directory, and with checkpoint.directory");
      break;
    case FileSystemKind::kContainer:
      complain(check, Status::kWarn,
               "it is the container's own layer: checkpoints end with the container",
               "mount a folder of the host, and name it with checkpoint.directory");
      break;
  }
  if (mount->read_only) {
    complain(check, Status::kFail, "mounted read-only", "name a folder that can be written to");
  }
  return check;
}

std::optional<Space> space_of(const std::filesystem::path& folder) {
  struct statvfs found {};
  if (::statvfs(folder.c_str(), &found) != 0) return std::nullopt;
  const auto block = static_cast<std::int64_t>(found.f_frsize);
  return Space{.free_bytes = static_cast<std::int64_t>(found.f_bavail) * block,
               .total_bytes = static_cast<std::int64_t>(found.f_blocks) * block,
               .free_inodes = static_cast<std::int64_t>(found.f_favail),
               .total_inodes = static_cast<std::int64_t>(found.f_files)};
}

std::vector<CheckResult> check_space(const std::optional<Space>& space) {
  if (!space || space->total_bytes == 0) {  // Such as /proc, which has no size.
    return {unknown("disk.free", "the folder cannot be looked at"),
            unknown("disk.inodes", "the folder cannot be looked at")};
  }
  constexpr std::int64_t kFewBytes = std::int64_t{10} << 30;
  constexpr std::int64_t kTooFewBytes = std::int64_t{64} << 20;
  constexpr std::int64_t kFewInodes = 10000;
  CheckResult bytes{.name = "disk.free", .value = space->free_bytes, .unit = "bytes"};
  bytes.detail = str("of ", value_text({.value = space->total_bytes, .unit = "bytes"}));
  if (space->free_bytes < kFewBytes) {
    complain(bytes, space->free_bytes < kTooFewBytes ? Status::kFail : Status::kWarn,
             "a checkpoint takes 12 to 16 bytes a parameter, and some are kept",
             "free space, lower checkpoint.keep, or name another folder with --directory");
  }
  CheckResult inodes{.name = "disk.inodes"};
  if (space->total_inodes == 0) {
    inodes.value = std::string("not counted");
  } else {
    inodes.value = space->free_inodes;
    inodes.unit = "free";
    if (space->free_inodes < kFewInodes) {
      inodes.detail = str("of ", space->total_inodes);
      complain(inodes, space->free_inodes < 100 ? Status::kFail : Status::kWarn,
               "each rank writes a file a checkpoint",
               "remove small files, or name another folder with --directory");
    }
  }
  return {bytes, inodes};
}

}  // namespace cloze
