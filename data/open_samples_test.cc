#include "data/open_samples.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/shard_writer.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr const char* kTokenizer = CLOZE_SOURCE_DIR "/tests/golden/tokenizer/glm";

class OpenSamplesTest : public testing::Test {
 public:
  ~OpenSamplesTest() override { std::filesystem::remove_all(folder_); }

 protected:
  OpenSamplesTest()
      : tokenizer_(Tokenizer::load(kTokenizer)),
        folder_(
            std::filesystem::path(testing::TempDir()) /
            str("open_samples_", testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    data_.set_tokenizer(kTokenizer);
    data_.set_seq_length(64);
  }
  // A pair of documents with `id` in them; returns its prefix.
  std::string write(const std::string& name, std::int32_t id, const std::string& digest) {
    const std::int32_t eos = tokenizer_.special("<|endoftext|>");
    const std::int64_t size = std::max<std::int64_t>(tokenizer_.vocab_size(), id + 1);
    ShardWriter writer(folder_ / name, {.tokenizer_digest = digest, .size = size, .eos = eos});
    for (std::int32_t i = 0; i < 20; ++i) {
      std::vector<std::int32_t> document(static_cast<std::size_t>(10 + i), 40 + i);
      document.front() = id;
      document.push_back(eos);
      writer.append(document);
    }
    writer.commit();
    return (folder_ / name).string();
  }

  ExitCode code_of(Split split, std::int64_t vocab_size) {
    try {
      open_samples(data_, objective_, split, 1, vocab_size);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kDone;
  }

  Tokenizer tokenizer_;
  std::filesystem::path folder_;
  config::Data data_;
  config::Objective objective_;
};

TEST_F(OpenSamplesTest, OpensTheSourcesOfASplit) {
  const std::string text = write("text", 30, tokenizer_.digest());
  data_.add_train()->set_path(text);
  config::Source* second = data_.add_train();
  second->set_path(text);
  second->set_weight(3);
  const SampleSource source =
      open_samples(data_, objective_, Split::kTrain, 9, tokenizer_.vocab_size());
  EXPECT_EQ(source.num_sources(), 2);
  EXPECT_EQ(source.seq_length(), 64);
  EXPECT_EQ(source.options().seed, 9U);
  EXPECT_EQ(source.options().special, special_tokens(tokenizer_, false));
  EXPECT_EQ(source.stream(0).num_added(), 0);
  EXPECT_EQ(source.row(0).num_tokens(), 64);
  EXPECT_EQ(code_of(Split::kValidation, 0), ExitCode::kUsage) << "it names no source";
  *data_.add_validation() = data_.train(0);
  EXPECT_EQ(code_of(Split::kValidation, 0), ExitCode::kDone);
}

TEST_F(OpenSamplesTest, RowsFromShardsEqualRowsFromMemory) {
  data_.add_train()->set_path(write("text", 30, tokenizer_.digest()));
  const SampleSource source = open_samples(data_, objective_, Split::kTrain, 9, 0);
  const Documents& shards = source.stream(0).documents();
  std::vector<std::vector<std::int32_t>> documents;
  std::int64_t first = 0;
  for (std::int64_t d = 0; d < shards.num_documents(); ++d) {
    documents.emplace_back(static_cast<std::size_t>(shards.document_length(d)));
    shards.read_tokens(first, documents.back());
    first += shards.document_length(d);
  }
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents(documents), 1});
  const SampleSource memory(source.options(), std::move(sources));
  for (std::int64_t ordinal = 0; ordinal < 50; ++ordinal) {
    EXPECT_EQ(source.row(ordinal).tokens, memory.row(ordinal).tokens);
  }
}

TEST_F(OpenSamplesTest, RefusesShardsOfAnotherTokenizer) {
  data_.add_train()->set_path(write("text", 30, std::string(32, '0')));
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kBadInput);
}

TEST_F(OpenSamplesTest, RefusesAVocabularyThatIsTooSmall) {
  data_.add_train()->set_path(write("text", 30, tokenizer_.digest()));
  EXPECT_EQ(code_of(Split::kTrain, tokenizer_.vocab_size()), ExitCode::kDone);
  EXPECT_EQ(code_of(Split::kTrain, tokenizer_.vocab_size() - 1), ExitCode::kUsage);
}

TEST_F(OpenSamplesTest, RefusesIdsBeyondTheTokenizer) {
  const auto beyond = static_cast<std::int32_t>(tokenizer_.vocab_size());
  data_.add_train()->set_path(write("text", beyond, tokenizer_.digest()));
  EXPECT_EQ(code_of(Split::kTrain, beyond + 1), ExitCode::kBadInput);
}

TEST_F(OpenSamplesTest, RefusesWhatIsMissing) {
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kUsage) << "no source";
  data_.add_train();
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kUsage) << "no path";
  data_.mutable_train(0)->set_path((folder_ / "nothing").string());
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kBadInput) << "no such pair";
  data_.mutable_train(0)->set_path(write("text", 30, tokenizer_.digest()));
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kDone);
  data_.mutable_train(0)->set_weight(-1);
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kUsage) << "a negative weight";
  data_.mutable_train(0)->set_weight(1);
  data_.set_seq_length(2);
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kUsage) << "a short row";
  data_.set_seq_length(64);
  data_.clear_tokenizer();
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kUsage) << "no tokenizer";
  data_.set_tokenizer((folder_ / "nothing").string());
  EXPECT_EQ(code_of(Split::kTrain, 0), ExitCode::kBadInput) << "no such tokenizer";
}

}  // namespace
}  // namespace cloze
