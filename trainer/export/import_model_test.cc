// Tests of where an import goes.
#include "trainer/export/import_model.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

TEST(ImportTargetTest, TakesEveryNameOfACheckpoint) {
  EXPECT_EQ(import_target("runs/x"), (ImportTarget{"runs/x/checkpoints", 0}));
  EXPECT_EQ(import_target("runs/x/"), (ImportTarget{"runs/x/checkpoints", 0}));
  EXPECT_EQ(import_target("runs/x/checkpoints"), (ImportTarget{"runs/x/checkpoints", 0}));
  EXPECT_EQ(import_target("a/step-00000120"), (ImportTarget{"a", 120}));
  EXPECT_EQ(import_target("a/step-00000120/"), (ImportTarget{"a", 120}));
  EXPECT_EQ(import_target("step-1"), (ImportTarget{"step-1/checkpoints", 0}));
}

}  // namespace
}  // namespace cloze
