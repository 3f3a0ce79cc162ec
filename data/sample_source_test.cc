#include "data/sample_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "data/batch_builder.h"
#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

// The documents that scripts/oracles/samples_oracle.py makes.
std::vector<std::vector<std::int32_t>> corpus(std::int64_t number, std::int64_t documents,
                                              std::int64_t longest) {
  std::vector<std::vector<std::int32_t>> made;
  for (std::int64_t d = 0; d < documents; ++d) {
    std::vector<std::int32_t>& ids = made.emplace_back();
    const std::int64_t length = d % 11 == 5 ? 0 : 1 + ((d * 7919) + (number * 131)) % longest;
    for (std::int64_t j = 0; j < length; ++j) {
      ids.push_back(static_cast<std::int32_t>(
          10 + (((d * 31) + (j * 17) + (j * j * 3) + (number * 7)) % 500)));
    }
    if (d % 3 != 0) ids.push_back(kSpecial.eos);
  }
  return made;
}

struct Setup {
  ObjectiveOptions objective = {};
  std::int64_t seq_length = 128;
  std::uint64_t seed = 7;
  std::vector<double> weights = {1};
  std::int64_t documents = 60;
  std::int64_t longest = 97;
};

SampleSource source_of(const Setup& setup) {
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 0; id < 512; id += 13) ends.push_back(id);
  std::vector<WeightedDocuments> sources;
  for (std::size_t i = 0; i < setup.weights.size(); ++i) {
    sources.push_back(
        {memory_documents(corpus(static_cast<std::int64_t>(i), setup.documents, setup.longest)),
         setup.weights[i]});
  }
  return {{.objective = setup.objective,
           .special = kSpecial,
           .sentence_ends = SentenceEnds(512, ends),
           .seq_length = setup.seq_length,
           .seed = setup.seed},
          std::move(sources)};
}

Setup setup_of(const nlohmann::json& options) {
  return {.objective = {.causal = options["causal"],
                        .mask_ratio = options["mask_ratio"],
                        .span_mean = options["span_mean"],
                        .span_max = options["span_max"],
                        .sentence_ratio = options["sentence_ratio"],
                        .document_min_ratio = options["document_min_ratio"],
                        .span_share = options["span_share"],
                        .sentence_share = options["sentence_share"],
                        .document_share = options["document_share"]},
          .seq_length = options["seq_length"],
          .seed = options["seed"],
          .weights = options["weights"],
          .documents = options["documents"],
          .longest = options["longest"]};
}

// FNV-1a over 32-bit numbers, as the oracle does it.
class Digest {
 public:
  void add(std::int64_t value) {
    hash_ = (hash_ ^ static_cast<std::uint32_t>(value)) * 0x100000001b3U;
  }
  template <typename T>
  void add(const std::vector<T>& values) {
    for (const T value : values) add(static_cast<std::int64_t>(value));
  }
  std::string hex() const {
    std::array<char, 17> text{};
    (void)std::snprintf(text.data(), text.size(), "%016llx",
                        static_cast<unsigned long long>(hash_));
    return text.data();
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

TEST(SampleSourceTest, EqualsASecondImplementationRowByRow) {
  const nlohmann::json cases = nlohmann::json::parse(
      read_file(CLOZE_SOURCE_DIR "/tests/golden/samples.json", std::int64_t{1} << 22));
  ASSERT_EQ(cases.size(), 7U);
  for (const nlohmann::json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const SampleSource source = source_of(setup_of(golden["options"]));
    EXPECT_EQ(source.window_length(), golden["window_length"].get<std::int64_t>());
    const std::vector<std::vector<std::int32_t>> first = golden["first_row"];
    const Batch row = source.row(0);
    EXPECT_EQ(row.tokens, first[0]);
    EXPECT_EQ(row.targets, first[1]);
    EXPECT_EQ(std::vector<std::int32_t>(row.loss_mask.begin(), row.loss_mask.end()), first[2]);
    EXPECT_EQ(row.position, first[3]);
    EXPECT_EQ(row.block_position, first[4]);
    EXPECT_EQ(row.rotary_position, first[5]);
    EXPECT_EQ(row.lo, first[6]);
    EXPECT_EQ(row.hi, first[7]);

    const std::int64_t near = golden["options"]["near"];
    BatchBuilder builder(source);
    for (std::size_t i = 0; i < golden["digests"].size(); ++i) {
      const auto number = static_cast<std::int64_t>(i);
      const std::int64_t ordinal = number < near ? number : 1'000'000'000'000 + number - near;
      const Batch batch = builder.build(ordinal, 1);
      Digest digest;
      digest.add(static_cast<std::int64_t>(batch.objective[0]));
      for (const auto* column : {&batch.tokens, &batch.targets}) digest.add(*column);
      digest.add(batch.loss_mask);
      for (const auto* column :
           {&batch.position, &batch.block_position, &batch.rotary_position, &batch.lo, &batch.hi}) {
        digest.add(*column);
      }
      for (const SampleBounds& bounds : builder.bounds()) {
        for (const std::int64_t value : {bounds.first, bounds.length, bounds.separator}) {
          digest.add(value);
        }
      }
      ASSERT_EQ(digest.hex(), golden["digests"][i].get<std::string>()) << "row " << ordinal;
    }
  }
}

TEST(SampleSourceTest, AnEpochVisitsEveryTokenOnce) {
  for (const bool causal : {false, true}) {
    const SampleSource source =
        source_of({.objective = {.causal = causal}, .seq_length = 64, .weights = {0.7, 0.2, 0.1}});
    // Tokens seen of each source and epoch, by place in the stream.
    std::map<std::pair<std::int64_t, std::int64_t>, std::vector<int>> seen;
    std::vector<std::int32_t> ids;
    for (std::int64_t ordinal = 0; ordinal < 3000; ++ordinal) {
      const RowPlace place = source.place(ordinal);
      auto& epoch = seen[{place.source, place.epoch}];
      epoch.resize(static_cast<std::size_t>(source.stream(place.source).num_tokens()));
      for (std::int64_t i = 0; i < place.length; ++i) {
        ++epoch.at(static_cast<std::size_t>(place.first + i));
      }
      // What the row is made from is what lies there.
      source.read_window(ordinal, ids);
      std::vector<std::int32_t> expected(static_cast<std::size_t>(place.length));
      source.stream(place.source).read(place.first, expected);
      ASSERT_TRUE(std::equal(expected.begin(), expected.end(), ids.begin()));
      ASSERT_LE(ids.size(), expected.size() + 1);
    }
    std::int64_t whole_epochs = 0;
    for (const auto& [key, counts] : seen) {
      // Every epoch but the last of its source is whole.
      if (!seen.contains({key.first, key.second + 1})) continue;
      ++whole_epochs;
      ASSERT_TRUE(std::ranges::all_of(counts, [](int count) { return count == 1; }));
    }
    EXPECT_GT(whole_epochs, 30);
  }
}

// Over any run of ordinals a window of an epoch comes once, whatever the batches are.
TEST(SampleSourceTest, EpochsMeetWithoutGapOrRepeat) {
  const SampleSource source = source_of({});
  const std::int64_t windows = source.num_windows(0);
  for (std::int64_t epoch : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1} << 40}) {
    std::set<std::int64_t> seen;
    for (std::int64_t i = 0; i < windows; ++i) {
      const RowPlace place = source.place((epoch * windows) + i);
      EXPECT_EQ(place.epoch, epoch);
      seen.insert(place.window);
    }
    EXPECT_EQ(static_cast<std::int64_t>(seen.size()), windows);
  }
}

TEST(SampleSourceTest, EpochsHaveOrdersOfTheirOwn) {
  const SampleSource source = source_of({.documents = 500});
  const std::int64_t windows = source.num_windows(0);
  int same = 0;
  for (std::int64_t i = 0; i < windows; ++i) {
    same += source.place(i).window == source.place(windows + i).window ? 1 : 0;
  }
  EXPECT_LT(same, 8);  // One in the mean.
}

// Documents of W - 1, W, W + 1 tokens and of many windows keep all their tokens.
TEST(SampleSourceTest, DocumentsAroundTheWindowLoseNothing) {
  const std::int64_t window = window_length({}, 64);
  for (const std::int64_t length : {window - 2, window - 1, window, window + 1, 10 * window + 3}) {
    std::vector<WeightedDocuments> sources;
    std::vector<std::int32_t> document(static_cast<std::size_t>(length), 9);
    document.push_back(kSpecial.eos);
    sources.push_back({memory_documents({document, document}), 1});
    const SampleSource source({.special = kSpecial, .seq_length = 64}, std::move(sources));
    const std::int64_t tokens = 2 * (length + 1);
    ASSERT_EQ(source.num_windows(0), (tokens + window - 1) / window);
    std::int64_t seen = 0;
    for (std::int64_t i = 0; i < source.num_windows(0); ++i) {
      const Batch row = source.row(i);
      // Text visible in part A, and text hidden in part B.
      for (std::size_t t = 0; t < row.tokens.size(); ++t) {
        const bool real = row.hi[t] > row.lo[t];
        const bool text = row.tokens[t] == 9 || row.tokens[t] == kSpecial.eos;
        seen += real && text ? 1 : 0;
      }
    }
    EXPECT_EQ(seen, tokens) << length;
  }
}

TEST(SampleSourceTest, AShortStreamIsOneShortWindow) {
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents({{9, 8, 7}}), 1});
  const SampleSource source({.special = kSpecial, .seq_length = 64}, std::move(sources));
  EXPECT_EQ(source.num_windows(0), 1);
  EXPECT_EQ(source.place(5),
            (RowPlace{.source = 0, .epoch = 5, .window = 0, .first = 0, .length = 4}));
  const Batch row = source.row(5);
  EXPECT_EQ(row.num_tokens(), 64);
  EXPECT_GT(row.num_targets(), 0);
}

TEST(SampleSourceTest, FingerprintNamesAllThatDecidesRows) {
  const std::string base = source_of({}).fingerprint();
  EXPECT_EQ(base.size(), 32U);
  EXPECT_EQ(source_of({}).fingerprint(), base);
  EXPECT_EQ(source_of({.seed = 8}).fingerprint(), base) << "the seed is named apart";
  EXPECT_NE(source_of({.seq_length = 129}).fingerprint(), base);
  EXPECT_NE(source_of({.weights = {2}}).fingerprint(), base);
  EXPECT_NE(source_of({.documents = 61}).fingerprint(), base);
  EXPECT_NE(source_of({.objective = {.causal = true}}).fingerprint(), base);
  EXPECT_NE(source_of({.objective = {.span_max = 40}}).fingerprint(), base);
  EXPECT_NE(source_of({.objective = {.span_mean = 3.0000001}}).fingerprint(), base);
}

TEST(SampleSourceTest, LargestIdIsOfDocumentsAndSpecialTokens) {
  EXPECT_EQ(source_of({}).largest_id(), 509);
  std::vector<WeightedDocuments> sources;
  sources.push_back({memory_documents({{4, 3, 1}}), 1});
  EXPECT_EQ(SampleSource({.special = kSpecial, .seq_length = 64}, std::move(sources)).largest_id(),
            6);
}

TEST(SampleSourceTest, RefusesEmptySourcesAndBadWeights) {
  const auto code_of = [](const std::vector<std::vector<std::int32_t>>& documents, double weight) {
    std::vector<WeightedDocuments> sources;
    sources.push_back({memory_documents(documents), weight});
    try {
      const SampleSource source({.special = kSpecial, .seq_length = 64}, std::move(sources));
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kDone;
  };
  EXPECT_EQ(code_of({{9, 9}}, 1), ExitCode::kDone);
  EXPECT_EQ(code_of({}, 1), ExitCode::kBadInput);
  EXPECT_EQ(code_of({{}, {}}, 1), ExitCode::kBadInput);
  EXPECT_EQ(code_of({{9, 9}}, -1), ExitCode::kUsage);
  EXPECT_EQ(code_of({{9, 9}}, std::numeric_limits<double>::quiet_NaN()), ExitCode::kUsage);
}

}  // namespace
}  // namespace cloze
