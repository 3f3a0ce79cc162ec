// What a resumed run may change.
#include "trainer/config/differences.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/load.h"

namespace cloze {
namespace {

config::Run run_with(const std::vector<std::string>& overrides) {
  return load_config_text(valid_config(), "x.yaml", overrides).run;
}

std::vector<Difference> changed(const std::vector<std::string>& after,
                                const std::vector<std::string>& before = {}) {
  return find_differences(run_with(before), run_with(after));
}

TEST(Differences, OfEqualRunsAreNone) { EXPECT_TRUE(changed({}).empty()); }

TEST(Differences, AreClassedByTheSchema) {
  using enum DifferenceClass;
  const std::vector<std::pair<std::string, DifferenceClass>> cases = {
      {"model.hidden_size=128", kForbidden},
      {"model.num_hidden_layers=5", kForbidden},
      {"model.rope_theta=500", kForbidden},
      {"model.norm_eps=1e-6", kForbidden},
      {"model.attention_bias=false", kForbidden},
      {"model.vocab_size=600", kForbidden},
      {"model.tie_word_embeddings=true", kForbidden},
      {"optimizer.lr=1e-5", kRunChanging},
      {"optimizer.betas=[0.9, 0.99]", kRunChanging},
      {"optimizer.weight_decay=0", kRunChanging},
      {"schedule.kind=linear", kRunChanging},
      {"schedule.warmup=5", kRunChanging},
      {"objective.kind=causal", kRunChanging},
      {"data.seq_length=256", kRunChanging},
      {"data.train=[runs/b]", kRunChanging},
      {"data.tokenizer=runs/u", kRunChanging},
      {"batch.global_size=16", kRunChanging},
      {"precision.compute=bf16", kRunChanging},
      {"run.seed=7", kRunChanging},
      {"model.output_dropout=0.1", kRunChanging},
      {"batch.micro_size=2", kHarmless},
      {"parallel.zero_stage=0", kHarmless},
      {"parallel.recompute=full", kHarmless},
      {"parallel.schedule=gpipe", kHarmless},
      {"run.threads=2", kHarmless},
      {"run.name=other", kHarmless},
      {"run.time_limit=60", kHarmless},
      {"run.deadline_seconds=60", kHarmless},
      {"checkpoint.interval=5", kHarmless},
      {"checkpoint.directory=elsewhere", kHarmless},
      {"validation.rows=5", kHarmless},
      {"data.validation=[runs/v]", kHarmless},
      {"log.interval=5", kHarmless},
  };
  for (const auto& [override_text, kind] : cases) {
    const auto differences = changed({override_text});
    const std::string key = override_text.substr(0, override_text.find('='));
    bool found = false;
    for (const Difference& difference : differences) {
      if (difference.key == key) {
        found = true;
        EXPECT_EQ(difference.kind, kind) << key;
      }
    }
    EXPECT_TRUE(found) << key;
  }
}

TEST(Differences, ShowBothValuesAsYaml) {
  const auto differences = changed({"optimizer.lr=1e-4"});
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_EQ(text_of(differences[0]), "optimizer.lr: 3.0e-04 -> 1.0e-04 (run-changing)");
}

TEST(Differences, OfTensorAndWhatItDerivesAreHarmless) {
  const auto differences = changed({"parallel.tensor=2", "parallel.pipeline=2"});
  EXPECT_EQ(differences.size(), 3U);  // tensor, pipeline, sequence.
  EXPECT_NO_THROW(check_differences(differences, {}));
}

TEST(Differences, InStepsAreHarmlessWhenNoRateDependsOnThem) {
  const std::vector<std::string> absolute = {"schedule.warmup=2", "schedule.decay=8"};
  std::vector<std::string> longer = absolute;
  longer.emplace_back("run.steps=20");
  const auto free = changed(longer, absolute);
  ASSERT_EQ(free.size(), 1U);
  EXPECT_EQ(free[0].kind, DifferenceClass::kHarmless);
  const auto shared = changed({"run.steps=20"});
  ASSERT_EQ(shared.size(), 1U);
  EXPECT_EQ(shared[0].kind, DifferenceClass::kRunChanging);
}

TEST(Differences, OfAKindNeedOneAllowanceNotOneForEachKeyItDisables) {
  const auto differences =
      changed({"schedule.kind=constant"}, {"schedule.decay=50%", "schedule.min_lr=1e-5"});
  EXPECT_NO_THROW(check_differences(differences, {"schedule.kind"}));
}

TEST(FindDifferences, TracedStepsAreHarmless) {
  const auto differences = changed({"log.trace=[3, 4]"});
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_EQ(text_of(differences[0]), "log.trace: [] -> [3, 4] (harmless)");
  EXPECT_NO_THROW(check_differences(differences, {}));
}

TEST(CheckDifferences, ListsWhatIsNotAllowedAndHowToAllowIt) {
  const auto differences =
      changed({"model.norm_eps=1e-6", "optimizer.lr=1e-4", "run.seed=3", "log.interval=4"});
  try {
    check_differences(differences, {"run.seed"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(error.problem().find("model.norm_eps: 1.0e-05 -> 1.0e-06 (forbidden)"),
              std::string::npos);
    EXPECT_NE(error.problem().find("optimizer.lr"), std::string::npos);
    EXPECT_EQ(error.problem().find("run.seed"), std::string::npos);
    EXPECT_EQ(error.problem().find("log.interval"), std::string::npos);
    EXPECT_NE(error.fix().find("--allow-change optimizer.lr"), std::string::npos);
    EXPECT_NE(error.fix().find("run.initial"), std::string::npos);
  }
}

TEST(CheckDifferences, ForbiddenOnesCannotBeAllowed) {
  EXPECT_THROW(check_differences(changed({"model.hidden_size=128"}),
                                 {"model.hidden_size", "model.head_dim"}),
               Error);
}

TEST(CheckDifferences, RunChangingOnesPassWhenAllowed) {
  EXPECT_NO_THROW(check_differences(changed({"optimizer.lr=1e-4"}), {"optimizer.lr"}));
}

TEST(CheckDifferences, AnUnknownNameIsAnError) {
  try {
    check_differences({}, {"optimizer.lrr"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.fix(), "did you mean optimizer.lr?");
  }
}

}  // namespace
}  // namespace cloze
