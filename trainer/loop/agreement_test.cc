#include "trainer/loop/agreement.h"

#include <gtest/gtest.h>

#include "parallel/comm/groups.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

TEST(AgreementTest, AllRanksThrowTheErrorOfTheLowestRank) {
  run_ranks(4, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 4}), world, rank, 1);
    try {
      together(*groups.world, [&] {
        if (rank >= 2) fail(ExitCode::kBadInput, str("file of rank ", rank), "mend it");
      });
      ADD_FAILURE() << "rank " << rank << " went on";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.problem(), "file of rank 2");
      EXPECT_EQ(error.fix(), "mend it");
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_EQ(error.rank(), 2);
    }
  });
}

TEST(AgreementTest, NothingIsThrownWhenAllSucceed) {
  run_ranks(3, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 3}), world, rank, 1);
    int calls = 0;
    together(*groups.world, [&] { ++calls; });
    EXPECT_EQ(calls, 1);
  });
}

TEST(AgreementTest, OtherExceptionsBecomeInternalErrors) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 2}), world, rank, 1);
    try {
      together(*groups.world, [&] {
        if (rank == 0) throw std::runtime_error("boom");
      });
      ADD_FAILURE() << "rank " << rank << " went on";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.code(), ExitCode::kInternal);
      EXPECT_EQ(error.problem(), "boom");
    }
  });
}

TEST(AgreementTest, TextsOfAnyLengthTravel) {
  run_ranks(3, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 3}), world, rank, 1);
    const std::string mine(static_cast<std::size_t>(rank) * 5, static_cast<char>('a' + rank));
    EXPECT_EQ(gather_texts(*groups.world, mine),
              (std::vector<std::string>{"", "bbbbb", "cccccccccc"}));
    EXPECT_EQ(broadcast_text(*groups.world, mine, 2), "cccccccccc");
    EXPECT_EQ(broadcast_text(*groups.world, mine, 0), "");
  });
}

TEST(AgreementTest, TheRanksThatDifferAreNamed) {
  run_ranks(4, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 4}), world, rank, 1);
    require_same(*groups.world, "same", "config");
    try {
      require_same(*groups.world, rank == 2 ? "other" : "same", "config");
      ADD_FAILURE() << "rank " << rank << " went on";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.problem(), "rank 2 has another config");
      EXPECT_EQ(error.code(), ExitCode::kUsage);
    }
  });
}

TEST(AgreementTest, EveryMinorityIsNamedWithWhatItHas) {
  run_ranks(5, [](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh({.data = 5}), world, rank, 1);
    const std::vector<std::string> texts = {"b", "a", "a", "b", "c"};
    try {
      require_same(*groups.world, rank == 2 ? "b" : texts[static_cast<std::size_t>(rank)], "seed",
                   [](const std::string& most, const std::string& other) {
                     return str(other, " instead of ", most);
                   });
      ADD_FAILURE() << "rank " << rank << " went on";
    } catch (const AgreedError& error) {
      EXPECT_EQ(error.problem(),
                "rank 1 has another seed: a instead of b; rank 4 has another seed: c instead of b");
    }
  });
}

TEST(AgreementTest, RanksAreWrittenAsRanges) {
  EXPECT_EQ(ranks_text({3}), "rank 3");
  EXPECT_EQ(ranks_text({0, 1}), "ranks 0, 1");
  EXPECT_EQ(ranks_text({0, 1, 2, 5, 7, 8, 9}), "ranks 0-2, 5, 7-9");
}

}  // namespace
}  // namespace cloze
