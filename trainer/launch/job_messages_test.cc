#include "trainer/launch/job_messages.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze {
namespace {

const std::string kRule = std::string(74, '-') + "\n";
const std::string kFatal =
    "FATAL rank=3 host=node7 step=12 phase=step code=75 what=\"MPI_Wait: \"peer\" is gone\" "
    "fix=\"look, then restart\"\n";

// mpirun's own words, of 4.1.4 and of 5.0.11.
const std::string kAborted =
    kRule +
    "Primary job  terminated normally, but 1 process returned\n"
    "a non-zero exit code. Per user-direction, the job has been aborted.\n" +
    kRule;
const std::string kDead =
    kRule +
    "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).\n" +
    kRule;
const std::string kDeadOf5 = kRule +
                             "prterun noticed that process rank 1 with PID 14030 on node vm exited "
                             "on\nsignal 9 (Killed).\n" +
                             kRule;
const std::string kFailed =
    kRule +
    "mpirun detected that one or more processes exited with non-zero status, thus causing\n"
    "the job to be terminated. The first process to do so was:\n"
    "\n"
    "  Process name: [[22627,1],0]\n"
    "  Exit code:    85\n" +
    kRule;
const std::string kAbort = kRule +
                           "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD\n"
                           "with errorcode 75.\n"
                           "\n"
                           "NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.\n" +
                           kRule;
const std::string kNoSlots = kRule +
                             "There are not enough slots available in the system to satisfy the 3\n"
                             "slots that were requested by the application:\n"
                             "\n"
                             "  cloze\n" +
                             kRule;

std::string shown(JobMessages& messages, const std::string& text) {
  std::string all = messages.take(text);
  return all + messages.flush();
}

TEST(FatalLineTest, FieldsAreRead) {
  EXPECT_EQ(read_fatal_line(kFatal),
            (FatalLine{.rank = 3, .step = 12, .code = 75, .what = "MPI_Wait: \"peer\" is gone"}));
  EXPECT_EQ(
      read_fatal_line("FATAL rank=0 host=h step=- phase=start code=64 what=\"\" fix=\"\"")->step,
      -1);
}

TEST(FatalLineTest, OtherLinesAreNone) {
  for (const char* line :
       {"", "FATAL", "FATAL rank=0 host=h",
        "fatal rank=0 host=h step=1 phase=p code=1 what=\"\" fix=\"\"",
        "warning: FATAL rank=0 host=h step=1 phase=p code=1 what=\"a\" fix=\"b\"",
        "FATAL rank=x host=h step=1 phase=p code=1 what=\"a\" fix=\"b\"",
        "FATAL rank=99999999999999999999 host=h step=1 phase=p code=1 what=\"a\" fix=\"b\""}) {
    EXPECT_EQ(read_fatal_line(line), std::nullopt) << line;
  }
}

TEST(JobMessagesTest, LinesOfTheJobPassAsTheyAre) {
  JobMessages messages;
  const std::string text =
      "warning: slow disk\n\n  \tindented\r\n-----\n[vm:1] a rank says\n" + kFatal;
  EXPECT_EQ(messages.take(text), text);
  EXPECT_EQ(messages.fatal()->rank, 3);
  EXPECT_EQ(messages.flush(), "");
}

TEST(JobMessagesTest, OnlyTheFirstCauseCounts) {
  JobMessages messages;
  const std::string second =
      "FATAL rank=0 host=h step=12 phase=step code=75 what=\"later\" fix=\"f\"\n";
  EXPECT_EQ(messages.take(kFatal + second), kFatal + second);
  EXPECT_EQ(messages.fatal()->rank, 3);
}

TEST(JobMessagesTest, ParagraphsAboutRanksThatEndedAreReadNotShown) {
  JobMessages messages;
  EXPECT_EQ(shown(messages, "before\n" + kAborted + kDead + kFailed + kAbort + "after\n"),
            "before\nafter\n");
  EXPECT_EQ(messages.dead_rank(),
            (DeadRank{.rank = 1, .host = "vm", .signal = 9, .signal_name = "Killed"}));
  EXPECT_EQ(messages.failed_code(), 85);
  EXPECT_EQ(messages.trouble(), "");
}

TEST(JobMessagesTest, TheWordsOfOpenMpi5AreReadToo) {
  JobMessages messages;
  EXPECT_EQ(shown(messages, kDeadOf5), "");
  EXPECT_EQ(messages.dead_rank(),
            (DeadRank{.rank = 1, .host = "vm", .signal = 9, .signal_name = "Killed"}));
}

TEST(JobMessagesTest, MpirunsOwnTroubleIsShownAndRemembered) {
  JobMessages messages;
  EXPECT_EQ(shown(messages, kNoSlots + kDead), kNoSlots);
  EXPECT_EQ(messages.trouble(),
            "There are not enough slots available in the system to satisfy the 3 slots that were "
            "requested by the application: cloze");
}

TEST(JobMessagesTest, OfALongStoryTheBeginningIsRemembered) {
  JobMessages messages;
  std::string story = kRule;
  for (int i = 0; i < 40; ++i) story += "many words about networks\n";
  story += kRule;
  EXPECT_EQ(shown(messages, story), story);
  EXPECT_TRUE(messages.trouble().starts_with("many words about networks many"));
  EXPECT_TRUE(messages.trouble().ends_with(" ..."));
  EXPECT_LT(messages.trouble().size(), 320U);
}

TEST(JobMessagesTest, RemarksAboutSignalsAndOtherRemarksAreNotShown) {
  JobMessages messages;
  EXPECT_EQ(shown(messages,
                  "mpirun: Forwarding signal 10 to job\n"
                  "[vm:22] 3 more processes have sent help message help-mpi-api.txt / mpi-abort\n"
                  "[vm:22] 1 more process has sent help message help-mpi-api.txt / mpi-abort\n"
                  "[vm:22] Set MCA parameter \"orte_base_help_aggregate\" to 0 to see all\n"),
            "");
}

TEST(JobMessagesTest, LinesOfAMegabytePassAndMeanNothing) {
  const std::string many(1 << 20, 'a');
  const std::string fatal =
      "FATAL rank=3 host=h step=1 phase=p code=75 what=\"" + many + "\" fix=\"f\"\n";
  const std::string remark = "[" + many + "] 1 more process has sent help message h\n";
  const std::string paragraph =
      kRule + "process rank 1 with PID 0 on node " + many + " exited on signal 9 (Killed).\n" +
      "one or more processes exited with non-zero status " + many + "\n" + kRule;
  for (const std::string& text : {fatal, remark, paragraph}) {
    JobMessages messages;
    EXPECT_TRUE(shown(messages, text) == text) << text.substr(0, 100);
    EXPECT_FALSE(messages.fatal());
    EXPECT_FALSE(messages.dead_rank());
    EXPECT_FALSE(messages.failed_code());
  }
}

TEST(JobMessagesTest, BytesMayComeInAnyPieces) {
  const std::string text = "one\n" + kDead + kFatal + kNoSlots + "two\nlast without an end";
  for (const std::size_t size : {1U, 7U, 80U, 4096U}) {
    JobMessages messages;
    std::string all;
    for (std::size_t i = 0; i < text.size(); i += size) all += messages.take(text.substr(i, size));
    all += messages.flush();
    EXPECT_EQ(all, "one\n" + kFatal + kNoSlots + "two\nlast without an end") << size;
    EXPECT_TRUE(messages.fatal());
    EXPECT_TRUE(messages.dead_rank());
  }
}

TEST(JobMessagesTest, AFatalLineInsideAParagraphIsNotLostWithIt) {
  JobMessages messages;
  const std::size_t middle = kAbort.find("NOTE");
  EXPECT_EQ(shown(messages, kAbort.substr(0, middle) + kFatal + kAbort.substr(middle)), kFatal);
  EXPECT_TRUE(messages.fatal());
}

TEST(JobMessagesTest, ALineOfHyphensOfTheJobHidesNothing) {
  JobMessages messages;
  EXPECT_EQ(messages.take(kRule + "a table\n"), "");
  EXPECT_EQ(messages.flush(), kRule + "a table\n") << "after a while without a second line";
  std::string rows;
  for (int i = 0; i < 200; ++i) rows += "row\n";
  EXPECT_TRUE(shown(messages, kRule + rows) == kRule + rows);
}

}  // namespace
}  // namespace cloze
