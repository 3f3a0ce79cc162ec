#include "trainer/launch/hostfile.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

Error hostfile_error(const std::string& text) {
  try {
    parse_hostfile(text, "hosts");
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error in: " << text;
  return {ExitCode::kDone, "", ""};
}

TEST(HostfileTest, LinesBecomeHosts) {
  EXPECT_EQ(parse_hostfile("# two nodes\n"
                           "node-1.cluster slots=8\n"
                           "\n"
                           "\tme@node2   slots = 4 max_slots=8  # half a node\n"
                           "10.0.0.3\n",
                           "hosts"),
            (std::vector<Host>{{"node-1.cluster", 8}, {"me@node2", 4}, {"10.0.0.3", 1}}));
}

TEST(HostfileTest, TheLastLineNeedsNoEnd) {
  EXPECT_EQ(parse_hostfile("a slots=2\nb slots=3", "hosts"),
            (std::vector<Host>{{"a", 2}, {"b", 3}}));
}

TEST(HostfileTest, LinesOfOneHostAddUp) {
  EXPECT_EQ(parse_hostfile("a\nb\na\na slots=4\n", "hosts"),
            (std::vector<Host>{{"a", 6}, {"b", 1}}));
}

TEST(HostfileTest, EveryBadLineIsNamedWithItsNumber) {
  const Error error = hostfile_error("a slots=two\nb\nc slots=4 cores=2\n");
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_NE(error.problem().find("hosts:1: slots=two"), std::string::npos) << error.what();
  EXPECT_NE(error.problem().find("hosts:3: 'cores=2'"), std::string::npos) << error.what();
}

TEST(HostfileTest, BadLinesAreRefused) {
  for (const char* line : {"a slots=", "a slots=0", "a slots=-1", "a slots=1.5",
                           "a slots=99999999999999999999", "a slots=2000000", "a slots", "a 4",
                           "a slots=2 slots=2", "a slots=4 max_slots=2", "slots=4", "^a", "a,b",
                           "a_b slots=2", "n\303\266de slots=2", "a slots=2\r", "-a slots=2"}) {
    const Error error = hostfile_error(line);
    EXPECT_EQ(error.code(), ExitCode::kUsage) << line;
    EXPECT_NE(error.problem().find("hosts:1: "), std::string::npos) << line << error.what();
    EXPECT_FALSE(error.fix().empty()) << line;
  }
}

TEST(HostfileTest, ALineOfAMegabyteIsRefused) {
  const std::string many(1 << 20, 'a');
  const std::string blanks(1 << 20, ' ');
  for (const std::string& line :
       {many, many + ":4", "a" + blanks + "slots=2", "a slots=" + std::string(1 << 20, '1')}) {
    const Error error = hostfile_error("b\n" + line + "\n");
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_TRUE(error.problem().starts_with("hosts:2: the line has ")) << error.what();
    EXPECT_LT(error.problem().size(), 100U);
  }
  EXPECT_EQ(parse_hostfile("a slots=2  # " + many, "hosts"), (std::vector<Host>{{"a", 2}}));
}

TEST(HostfileTest, TheFormOfOtherMpisIsToldHowToWrite) {
  EXPECT_EQ(hostfile_error("node2:4").fix(), "write node2 slots=4");
}

TEST(HostfileTest, FilesWithoutHostsAreRefused) {
  EXPECT_NE(hostfile_error("").problem().find("names no host"), std::string::npos);
  EXPECT_NE(hostfile_error("# nothing\n\n").problem().find("names no host"), std::string::npos);
}

TEST(HostfileTest, WhatIsNoFileIsAnErrorOfTheCommandLine) {
  for (const std::string path : {"/nowhere/hosts", "/tmp"}) {
    try {
      read_hostfile(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find(path), std::string::npos) << error.what();
    }
  }
}

TEST(HostfileTest, FewerSlotsThanRanksSayBothNumbersAndTheWayOut) {
  const std::vector<Host> hosts = {{"a", 4}, {"b", 3}};
  check_slots(hosts, 7, "hosts");
  try {
    check_slots(hosts, 8, "hosts");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find("have 7 slots, the job has 8 ranks"), std::string::npos);
    EXPECT_NE(error.fix().find("--oversubscribe"), std::string::npos);
  }
}

}  // namespace
}  // namespace cloze
