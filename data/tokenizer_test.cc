// Encoding and decoding are held to Hugging Face tokenizers by goldens.
#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "data/tokenizer_files.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

using Ids = std::vector<std::int32_t>;

std::filesystem::path golden(std::string_view name) {
  return std::filesystem::path(CLOZE_SOURCE_DIR) / "tests/golden/tokenizer" / name;
}

struct Case {
  std::string text;
  Ids ids;          // Special tokens read as text.
  Ids ids_special;  // Special tokens read.
  std::string text_without_special;
};

std::vector<Case> cases_of(const std::string& name) {
  std::ifstream file(golden("cases.json"));
  const nlohmann::json all = nlohmann::json::parse(file);
  std::vector<Case> cases;
  for (const nlohmann::json& entry : all.at(name)) {
    Case one;
    one.text = entry.at("text");
    one.ids = entry.at("ids").get<Ids>();
    one.ids_special = entry.value("ids_special", one.ids);
    one.text_without_special = entry.value("text_without_special", one.text);
    cases.push_back(std::move(one));
  }
  return cases;
}

class TokenizerGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  Tokenizer tokenizer_ = Tokenizer::load(golden(GetParam()));
  std::vector<Case> cases_ = cases_of(GetParam());
};

TEST_P(TokenizerGoldenTest, EncodesAsHuggingFaceDoes) {
  ASSERT_GT(cases_.size(), 100U);
  for (const Case& one : cases_) {
    EXPECT_EQ(tokenizer_.encode(one.text), one.ids) << one.text;
    EXPECT_EQ(tokenizer_.encode(one.text, /*parse_special=*/true), one.ids_special) << one.text;
  }
}

TEST_P(TokenizerGoldenTest, DecodesToTheTextAndLeavesSpecialTokensOutAsHuggingFaceDoes) {
  for (const Case& one : cases_) {
    EXPECT_EQ(tokenizer_.decode(one.ids), one.text);
    EXPECT_EQ(tokenizer_.decode(one.ids_special), one.text);
    EXPECT_EQ(tokenizer_.decode(one.ids_special, /*skip_special=*/true), one.text_without_special);
  }
}

TEST_P(TokenizerGoldenTest, AnEncoderGivesTheSameIdsFirstAndFromItsCache) {
  Tokenizer::Encoder encoder(tokenizer_);
  for (int round = 0; round < 2; ++round) {
    Ids all;
    Ids expected;
    for (const Case& one : cases_) {
      encoder.encode(one.text, all);
      expected.insert(expected.end(), one.ids.begin(), one.ids.end());
    }
    EXPECT_EQ(all, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, TokenizerGoldenTest, testing::Values("glm", "foreign"),
                         [](const auto& name) { return name.param; });

TEST(TokenizerTest, KnowsSpecialTokensAndPiecesByName) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  EXPECT_EQ(tokenizer.vocab_size(), 610);
  EXPECT_EQ(tokenizer.special("<|endoftext|>"), 600);
  EXPECT_EQ(tokenizer.special("[gMASK]"), 602);
  EXPECT_EQ(tokenizer.special("<|observation|>"), 609);
  EXPECT_EQ(tokenizer.id_of("!"), 0);
  EXPECT_EQ(tokenizer.id_of(" "), 220);           // By its bytes,
  EXPECT_EQ(tokenizer.id_of("Ġ"), std::nullopt);  // not as the file writes it.
  EXPECT_EQ(tokenizer.id_of("<nothing>"), std::nullopt);
  EXPECT_EQ(tokenizer.id_of(""), std::nullopt);
}

TEST(TokenizerTest, KnowsWhichIdsHaveATokenAndDecodesNoOthers) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  EXPECT_TRUE(tokenizer.has(0));
  EXPECT_TRUE(tokenizer.has(609));
  for (const std::int32_t id : {-1, 610, 1 << 30}) {
    EXPECT_FALSE(tokenizer.has(id));
    EXPECT_THROW(static_cast<void>(tokenizer.decode(std::vector{id})), Error);
  }
}

TEST(TokenizerTest, NamesASpecialTokenThatIsAbsent) {
  const Tokenizer tokenizer = Tokenizer::load(golden("foreign"));
  try {
    tokenizer.special("<|user|>");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_NE(error.problem().find("<|user|>"), std::string::npos);
  }
}

TEST(TokenizerTest, TextCannotForgeSpecialTokensUnlessAsked) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  for (const std::int32_t id : tokenizer.encode("<sop>[MASK]<|endoftext|>")) EXPECT_LT(id, 600);
  EXPECT_EQ(tokenizer.encode("<sop>[MASK]<|endoftext|>", true), (Ids{604, 601, 600}));
}

TEST(TokenizerTest, RefusesTextThatIsNotUtf8AndSaysWhere) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  Tokenizer::Encoder encoder(tokenizer);
  // A stray continuation, an overlong form, a surrogate, a cut character, beyond U+10FFFF.
  for (const std::string tail :
       {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xE4\xB8", "\xF4\x90\x80\x80", "\xFF"}) {
    const std::string text = "héllo " + tail;
    Ids ids;
    for (int way = 0; way < 2; ++way) {
      try {
        way == 0 ? void(tokenizer.encode(text)) : encoder.encode(text, ids);
        FAIL() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kBadInput);
        EXPECT_NE(error.problem().find("at byte 7"), std::string::npos) << error.problem();
      }
    }
    EXPECT_TRUE(ids.empty());
  }
}

TEST(TokenizerTest, DecodesPartsOfACharacterToItsBytes) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  std::string text;
  for (const char byte : std::string("🙂")) {
    const Ids one = {*tokenizer.id_of(std::string_view(&byte, 1))};
    EXPECT_EQ(tokenizer.decode(one), std::string(1, byte));
    text += tokenizer.decode(one);
  }
  EXPECT_EQ(text, "🙂");
}

TEST(TokenizerTest, RefusesToDecodeAnIdWithoutAToken) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  for (const std::int32_t id : {-1, 610, 1 << 30}) {
    EXPECT_THROW(tokenizer.decode(Ids{id}), Error);
  }
}

TEST(TokenizerTest, AnEncoderStaysRightWhenItsCacheIsTooSmall) {
  const Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  Tokenizer::Encoder encoder(tokenizer);
  for (int round = 0; round < 2; ++round) {
    for (int number = 0; number < 60000; ++number) {
      const std::string text = " word" + std::to_string(number * 7) + "x" + std::to_string(number);
      Ids ids = {-1};  // What is there already stays.
      encoder.encode(text, ids);
      if (number % 1000 == round) {
        Ids expected = tokenizer.encode(text);
        expected.insert(expected.begin(), -1);
        ASSERT_EQ(ids, expected);
      }
    }
  }
}

TEST(TokenizerTest, ThreadsShareATokenizer) {
  const Tokenizer tokenizer = Tokenizer::load(golden("foreign"));
  const std::vector<Case> cases = cases_of("foreign");
  std::vector<std::thread> threads;
  std::array<int, 4> differences{};
  for (int& count : differences) {
    threads.emplace_back([&] {
      Tokenizer::Encoder encoder(tokenizer);
      for (const Case& one : cases) {
        Ids ids;
        encoder.encode(one.text, ids);
        count += ids != one.ids || tokenizer.encode(one.text, true) != one.ids_special;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, (std::array<int, 4>{}));
}

TEST(TokenizerTest, EncodersSurviveAMoveOfTheTokenizer) {
  Tokenizer tokenizer = Tokenizer::load(golden("glm"));
  const Ids expected = tokenizer.encode("moved text");
  Tokenizer::Encoder encoder(tokenizer);
  const Tokenizer moved = std::move(tokenizer);
  Tokenizer::Encoder moved_encoder = std::move(encoder);
  Ids ids;
  moved_encoder.encode("moved text", ids);
  EXPECT_EQ(ids, expected);
}

TEST(TokenizerTest, TheDigestDependsOnContentAndNotOnLayout) {
  const std::filesystem::path folder = testing::TempDir() + "/cloze_tokenizer_digest";
  TokenizerContent content = read_tokenizer_files(golden("glm"));
  const std::string digest = Tokenizer::load(golden("glm")).digest();
  EXPECT_EQ(digest.size(), 32U);
  const auto digest_of_copy = [&] {
    write_tokenizer_files(folder, content);
    return Tokenizer::load(folder).digest();
  };
  EXPECT_EQ(digest_of_copy(), digest);
  std::swap(content.merges[3], content.merges[4]);
  const std::string other_merges = digest_of_copy();
  EXPECT_NE(other_merges, digest);
  std::swap(content.merges[3], content.merges[4]);
  content.ignore_merges = false;
  EXPECT_NE(digest_of_copy(), digest);
  content.ignore_merges = true;
  content.added_tokens.pop_back();
  EXPECT_NE(digest_of_copy(), digest);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cloze
