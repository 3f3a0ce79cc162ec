// `cloze inspect --samples` as a user calls it: one JSON object a sample, and its bad inputs.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/batch_builder.h"
#include "data/open_samples.h"
#include "data/shard_writer.h"
#include "parallel/base/check.h"
#include "trainer/cli/inspect.h"

namespace cloze {
namespace {

constexpr const char* kTokenizer = CLOZE_SOURCE_DIR "/tests/golden/tokenizer/glm";

class InspectSamplesTest : public testing::Test {
 public:
  ~InspectSamplesTest() override { std::filesystem::remove_all(folder_); }

 protected:
  InspectSamplesTest()
      : folder_(std::filesystem::path(testing::TempDir()) /
                str("inspect_samples_",
                    testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    const Tokenizer tokenizer = Tokenizer::load(kTokenizer);
    const std::int32_t eos = tokenizer.special("<|endoftext|>");
    ShardWriter writer(
        folder_ / "text",
        {.tokenizer_digest = tokenizer.digest(), .size = tokenizer.vocab_size(), .eos = eos});
    for (int i = 0; i < 30; ++i) {
      std::vector<std::int32_t> document = tokenizer.encode(
          str("Document ", i, " is short. It has two sentences, and a third: \"é\"!"));
      document.push_back(eos);
      writer.append(document);
    }
    writer.commit();
    run_.mutable_run()->set_seed(5);
    run_.mutable_model()->set_vocab_size(tokenizer.vocab_size());
    run_.mutable_data()->set_tokenizer(kTokenizer);
    run_.mutable_data()->set_seq_length(96);
    run_.mutable_data()->add_train()->set_path((folder_ / "text").string());
  }

  std::vector<nlohmann::json> lines(std::int64_t first, std::int64_t count) const {
    std::stringstream out;
    inspect_samples(run_, first, count, out);
    std::vector<nlohmann::json> objects;
    for (std::string line; std::getline(out, line);) {
      objects.push_back(nlohmann::json::parse(line));
    }
    return objects;
  }

  std::filesystem::path folder_;
  config::Run run_;
};

TEST_F(InspectSamplesTest, PrintsAsManyLinesAsAsked) {
  for (const std::int64_t count : {1, 2, 7, 40}) {
    EXPECT_EQ(static_cast<std::int64_t>(lines(3, count).size()), count);
  }
}

TEST_F(InspectSamplesTest, ShowsTheSamplesThatTrainingSees) {
  const SampleSource source = open_samples(run_.data(), run_.objective(), Split::kTrain, 5, 0);
  BatchBuilder builder(source);
  const std::vector<nlohmann::json> objects = lines(10, 30);
  std::size_t line = 0;
  for (std::int64_t ordinal = 10; line < objects.size(); ++ordinal) {
    const Batch batch = builder.build(ordinal, 1);
    for (const SampleBounds& bounds : builder.bounds()) {
      if (line == objects.size()) break;
      const nlohmann::json& object = objects[line++];
      const Sample sample = copy_sample(batch, bounds);
      EXPECT_EQ(object["ordinal"], ordinal);
      EXPECT_EQ(object["piece"], bounds.piece);
      EXPECT_EQ(object["objective"], std::string(name_of(sample.objective)));
      EXPECT_EQ(object["tokens"], nlohmann::json(sample.tokens));
      EXPECT_EQ(object["targets"], nlohmann::json(sample.targets));
      EXPECT_EQ(object["loss_mask"], nlohmann::json(sample.loss_mask));
      EXPECT_EQ(object["positions"], nlohmann::json({sample.position, sample.block_position}));
      EXPECT_EQ(object["separator"], sample.separator);
      EXPECT_TRUE(object["text"].is_string());
    }
  }
}

TEST_F(InspectSamplesTest, RefusesNumbersOutOfRange) {
  std::ostringstream out;
  EXPECT_THROW(inspect_samples(run_, -1, 1, out), Error);
  EXPECT_THROW(inspect_samples(run_, 0, 0, out), Error);
  run_.mutable_data()->clear_tokenizer();
  EXPECT_THROW(inspect_samples(run_, 0, 1, out), Error);
}

}  // namespace
}  // namespace cloze
