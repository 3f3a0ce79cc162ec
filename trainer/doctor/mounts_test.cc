// mountinfo of several hosts: which file system a folder is on, and what is said of it.
#include "trainer/doctor/mounts.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

constexpr const char* kMountinfo =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    "40 27 0:40 / /home rw,nosuid shared:5 master:2 - nfs4 filer:/export/home rw,vers=4.2\n"
    "41 40 0:41 / /home/data\\040set rw - lustre 10.0.0.1@tcp:/fs rw\n"
    "42 27 0:42 / /mnt ro,relatime - xfs /dev/vdb rw\n"
    "43 42 0:43 / /mnt rw - tmpfs tmpfs rw,size=1g\n"
    "44 27 0:44 / /layer rw - overlay overlay rw,lowerdir=/a,upperdir=/b\n"
    "45 27 0:45 / /frozen ro - ext4 /dev/vdc rw\n"
    "short line - x\n";

std::optional<Mount> mount(const char* path) { return mount_of(parse_mountinfo(kMountinfo), path); }

TEST(MountsTest, EveryWholeLineIsAMount) {
  const std::vector<Mount> mounts = parse_mountinfo(kMountinfo);
  ASSERT_EQ(mounts.size(), 8U);
  EXPECT_EQ(mounts[2], (Mount{"/home", "nfs4", "filer:/export/home", false}));
  EXPECT_EQ(mounts[3].point, "/home/data set");
  EXPECT_TRUE(mounts[7].read_only);
  EXPECT_TRUE(parse_mountinfo("").empty());
}

TEST(MountsTest, TheInnermostAndLastMountHolds) {
  EXPECT_EQ(mount("/home/runs")->type, "nfs4");
  EXPECT_EQ(mount("/home")->type, "nfs4");
  EXPECT_EQ(mount("/home/data set/x")->type, "lustre");
  EXPECT_EQ(mount("/homework")->type, "ext4") << "a name that begins alike is another folder";
  EXPECT_EQ(mount("/mnt/x")->type, "tmpfs") << "mounted over xfs";
  EXPECT_FALSE(mount_of({}, "/"));
}

TEST(MountsTest, FileSystemsAreOfFourKinds) {
  for (const char* type : {"nfs", "nfs4", "lustre", "fuse.sshfs", "cifs", "9p", "gpfs"}) {
    EXPECT_EQ(kind_of(type), FileSystemKind::kNetwork) << type;
  }
  for (const char* type : {"ext4", "xfs", "btrfs", "zfs", "f2fs"}) {
    EXPECT_EQ(kind_of(type), FileSystemKind::kLocal) << type;
  }
  EXPECT_EQ(kind_of("tmpfs"), FileSystemKind::kMemory);
  EXPECT_EQ(kind_of("overlay"), FileSystemKind::kContainer);
}

TEST(MountsTest, WhatCheckpointsWouldLoseIsWarnedOf) {
  const CheckResult network = check_file_system(mount("/home/me"));
  EXPECT_EQ(network.status, Status::kOk);
  EXPECT_NE(network.detail.find("network file system"), std::string::npos) << network.detail;
  EXPECT_NE(network.detail.find("filer:/export/home"), std::string::npos);
  EXPECT_EQ(check_file_system(mount("/mnt/x")).status, Status::kWarn);
  EXPECT_EQ(check_file_system(mount("/layer")).status, Status::kWarn);
  EXPECT_EQ(check_file_system(mount("/srv")).status, Status::kOk);
  EXPECT_EQ(check_file_system(mount("/frozen")).status, Status::kFail);
  EXPECT_EQ(check_file_system({}).status, Status::kSkip);
}

TEST(MountsTest, RoomIsJudged) {
  const auto judge = [](std::int64_t bytes, std::int64_t inodes, std::int64_t all_inodes) {
    const auto checks = check_space(Space{bytes, std::int64_t{1} << 40, inodes, all_inodes});
    EXPECT_EQ(checks.size(), 2U);
    return std::pair(checks[0].status, checks[1].status);
  };
  constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  EXPECT_EQ(judge(100 * kGiB, 1 << 20, 1 << 21), std::pair(Status::kOk, Status::kOk));
  EXPECT_EQ(judge(9 * kGiB, 5000, 1 << 21), std::pair(Status::kWarn, Status::kWarn));
  EXPECT_EQ(judge(0, 0, 1 << 21), std::pair(Status::kFail, Status::kFail));
  EXPECT_EQ(judge(100 * kGiB, 0, 0), std::pair(Status::kOk, Status::kOk)) << "btrfs counts none";
  for (const CheckResult& check : check_space({})) EXPECT_EQ(check.status, Status::kSkip);
  for (const CheckResult& check : check_space(Space{})) EXPECT_EQ(check.status, Status::kSkip);
  ASSERT_TRUE(space_of("/"));
  EXPECT_GT(space_of("/")->total_bytes, 0);
  EXPECT_FALSE(space_of("/no/such/folder"));
}

}  // namespace
}  // namespace cloze
