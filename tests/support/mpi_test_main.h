// main() for tests that run on several MPI ranks; link cloze_mpi_test_main instead of gtest_main.
//
// Every rank runs every test. A test that fails on one rank fails on all, and each rank's
// failures are printed with its number. A test must never stop between two collectives on one
// rank alone: use EXPECT there, not ASSERT.
#pragma once

#include "parallel/comm/mpi_session.h"

namespace cloze {

// The session that main() keeps for all tests.
MpiSession& test_session();

}  // namespace cloze
