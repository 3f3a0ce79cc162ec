// Tests of config.json: both generations of keys, defaults, and what is refused.
#include "trainer/export/folder_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

class FolderConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    make_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  FolderConfig read(const std::string& json) const {
    write_file_atomically(folder_ / "config.json", json);
    return read_folder_config(folder_);
  }
  std::string problem(const std::string& json) const {
    try {
      read(json);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      return error.problem();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(FolderConfigTest, WhatIsAbsentOrNullHasTheClassesDefault) {
  for (const char* json : {R"({"model_type": "glm"})",
                           R"({"model_type": "glm", "head_dim": null, "rope_theta": null,
                               "rope_scaling": null, "attention_bias": null, "hidden_act": null,
                               "eos_token_id": null})"}) {
    const config::Model model = read(json).model;
    EXPECT_EQ(model.num_hidden_layers(), 40);
    EXPECT_EQ(model.num_key_value_heads(), 2);
    EXPECT_EQ(model.head_dim(), 128);
    EXPECT_EQ(model.vocab_size(), 151552);
    EXPECT_DOUBLE_EQ(model.norm_eps(), 1.5625e-7);
    EXPECT_DOUBLE_EQ(model.rope_theta(), 10000);
    EXPECT_DOUBLE_EQ(model.partial_rotary_factor(), 0.5);
    EXPECT_TRUE(model.attention_bias());
    EXPECT_FALSE(model.tie_word_embeddings());
  }
}

TEST_F(FolderConfigTest, ReadsTheKeysOfBothGenerations) {
  const config::Model flat =
      read(R"({"model_type": "glm", "rope_theta": 5000000, "partial_rotary_factor": 0.25})").model;
  const config::Model nested = read(R"({"model_type": "glm", "rope_parameters":
      {"rope_type": "default", "rope_theta": 5e6, "partial_rotary_factor": 0.25}})")
                                   .model;
  EXPECT_DOUBLE_EQ(flat.rope_theta(), 5e6);
  EXPECT_EQ(flat.SerializeAsString(), nested.SerializeAsString());
}

TEST_F(FolderConfigTest, WhatIsWrittenReadsBack) {
  FolderConfig config = read(R"({"model_type": "glm", "rms_norm_eps": 1.5625e-07,
      "attention_dropout": 0.1, "eos_token_id": [7, 8], "pad_token_id": 7, "hidden_size": 96,
      "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 20})");
  EXPECT_EQ(config.eos_ids, (std::vector<std::int32_t>{7, 8}));
  EXPECT_EQ(config.pad_id, 7);
  const FolderConfig again = read(folder_config_json(config, DType::kBF16));
  EXPECT_EQ(again.model.SerializeAsString(), config.model.SerializeAsString());
  EXPECT_EQ(again.eos_ids, config.eos_ids);
  EXPECT_EQ(again.pad_id, config.pad_id);
}

TEST_F(FolderConfigTest, EndsOfGenerationComeFirst) {
  write_file_atomically(folder_ / "generation_config.json", R"({"eos_token_id": 9})");
  EXPECT_EQ(read(R"({"model_type": "glm", "eos_token_id": 5})").eos_ids,
            (std::vector<std::int32_t>{9}));
}

TEST_F(FolderConfigTest, WhatWouldComputeSomethingElseIsRefused) {
  const auto says = [&](const std::string& keys, const std::string& words) {
    const std::string text = problem(R"({"model_type": "glm", )" + keys + "}");
    EXPECT_NE(text.find(words), std::string::npos) << keys << " gives: " << text;
  };
  says(R"("architectures": ["GlmModel"])", "GlmModel");
  says(R"("hidden_act": "gelu")", "hidden_act");
  says(R"("rope_scaling": {"rope_type": "yarn"})", "yarn");
  says(R"("rope_parameters": {"rope_type": "linear"})", "linear");
  says(R"("rope_parameters": [1])", "rope_parameters");
  says(R"("quantization_config": {})", "quantized");
  says(R"("mlp_bias": true)", "mlp_bias");
  says(R"("auto_map": {})", "auto_map");
  says(R"("head_dim": 7, "partial_rotary_factor": 0.5)", "rotates 3");
  says(R"("num_attention_heads": 5)", "num_key_value_heads 2");
  says(R"("hidden_size": 0)", "hidden_size");
  says(R"("hidden_size": 9223372036854775807)", "hidden_size");
  says(R"("hidden_size": 1.5)", "hidden_size");
  says(R"("rms_norm_eps": "small")", "rms_norm_eps");
  says(R"("rms_norm_eps": -1)", "norm_eps");
  says(R"("attention_bias": 1)", "attention_bias");
  says(R"("eos_token_id": [1, -2])", "eos_token_id");
  EXPECT_NE(problem(R"({"hidden_size": 4})").find("model_type"), std::string::npos);
  EXPECT_NE(problem("[]").find("no object"), std::string::npos);
  EXPECT_NE(problem("{").find("not valid JSON"), std::string::npos);
}

}  // namespace
}  // namespace cloze
