// Models that do not come from a config: what is wrong with one, whether tensor ranks can share it,
// how two differ.
#include "trainer/config/model_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "parallel/base/check.h"

namespace cloze {
namespace {

config::Model small_model() {
  config::Model model;
  model.set_num_hidden_layers(4);
  model.set_hidden_size(64);
  model.set_num_attention_heads(4);
  model.set_num_key_value_heads(2);
  model.set_head_dim(16);
  model.set_intermediate_size(128);
  model.set_vocab_size(512);
  return model;
}

TEST(ModelCheck, EveryProblemIsListedInWords) {
  EXPECT_TRUE(check_model(small_model()).empty());
  config::Model model = small_model();
  model.clear_vocab_size();
  model.set_hidden_size(0);
  model.set_num_key_value_heads(3);
  EXPECT_EQ(
      check_model(model),
      (std::vector<std::string>{"hidden_size is 0, not from 1 to 1048576", "vocab_size is missing",
                                "model.num_attention_heads 4 % num_key_value_heads 3 is not 0"}));
}

// A file may hold any number: none is an overflow.
TEST(ModelCheck, RotationsOfAnySizeAreJudged) {
  const auto problems_of = [](std::int64_t head_dim, double factor) {
    config::Model model = small_model();
    model.set_head_dim(head_dim);
    model.set_partial_rotary_factor(factor);
    return check_model(model);
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double factor : {0.0, -1.0, 1e300, kInfinity, std::nan("")}) {
    EXPECT_EQ(problems_of(16, factor).size(), 1U) << factor;
  }
  EXPECT_EQ(problems_of(std::numeric_limits<std::int64_t>::max(), 0.5).size(), 1U);
  EXPECT_EQ(problems_of(std::numeric_limits<std::int64_t>::min(), 0.5).size(), 1U);
  EXPECT_EQ(
      problems_of(16, 1e-300),
      (std::vector<std::string>{
          "head_dim * partial_rotary_factor rotates 0 numbers of a head; they turn in pairs"}));
  EXPECT_EQ(
      problems_of(16, 0.2),
      (std::vector<std::string>{
          "head_dim * partial_rotary_factor rotates 3 numbers of a head; they turn in pairs"}));
  EXPECT_TRUE(problems_of(16, 0.25).empty());
}

TEST(ModelCheck, SizesThatNoModelHasTakeNoTime) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  config::Model model = small_model();
  model.set_num_attention_heads(kMost);
  model.set_num_key_value_heads(kMost - 2);
  model.set_hidden_size(kMost - 1);
  model.clear_head_dim();
  EXPECT_EQ(check_model(model).size(), 3U);
  model.set_family(config::Model::glm2021);
  model.set_head_dim(kMost);
  EXPECT_EQ(check_model(model).size(), 4U);
}

// There is no config then, and no key that could be changed: the model is what the error names.
TEST(ModelCheck, TensorRanksThatCannotShareAModelAreAnErrorThatNamesIt) {
  for (const int ranks : {1, 2, 4}) {
    EXPECT_NO_THROW(check_tensor_degree(small_model(), "runs/a", ranks)) << ranks;
  }
  config::Model odd = small_model();
  odd.set_intermediate_size(130);
  try {
    check_tensor_degree(odd, "runs/a", 3);
    FAIL() << "3 ranks share 4 heads";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_EQ(
        error.problem(),
        "runs/a cannot be cut over 3 tensor ranks: num_attention_heads 4 % tensor 3 is not 0; "
        "num_key_value_heads 2 and tensor 3: neither divides the other; "
        "intermediate_size 130 % tensor 3 is not 0");
    EXPECT_EQ(error.fix(), "its sizes allow --tensor 1, 2");
  }
}

TEST(ModelCheck, DifferencesAreThoseThatTheWeightsDependOn) {
  config::Model held = small_model();
  held.set_hidden_size(128);
  held.set_max_position_embeddings(77);
  held.set_initializer_range(0.5);
  held.set_attention_dropout(0.5);
  EXPECT_EQ(model_differences(small_model(), held),
            std::vector<std::string>{"hidden_size 64, not 128"});
  config::Model given = small_model();
  given.set_family(config::Model::glm2021);
  EXPECT_EQ(model_differences(given, held),
            (std::vector<std::string>{"family glm2021, not glm4", "hidden_size 64, not 128",
                                      "max_position_embeddings 1024, not 77"}));
}

}  // namespace
}  // namespace cloze
