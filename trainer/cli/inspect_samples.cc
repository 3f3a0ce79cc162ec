// `cloze inspect --samples`: the very samples that training sees, one JSON object a line.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "data/batch_builder.h"
#include "data/tokenizer.h"
#include "parallel/base/check.h"
#include "trainer/cli/inspect.h"
#include "trainer/loop/run_samples.h"

namespace cloze {

namespace {

// Keys come in the order in which they are written here.
nlohmann::ordered_json json_of(const Sample& sample, const SampleBounds& bounds,
                               const Tokenizer& tokenizer) {
  nlohmann::ordered_json object;
  object["ordinal"] = bounds.ordinal;
  object["piece"] = bounds.piece;
  object["objective"] = name_of(sample.objective);
  object["tokens"] = sample.tokens;
  object["targets"] = sample.targets;
  object["loss_mask"] = sample.loss_mask;
  object["positions"] = {sample.position, sample.block_position};
  object["separator"] = sample.separator;
  object["text"] = tokenizer.decode(sample.tokens);
  return object;
}

}  // namespace

void inspect_samples(const config::Run& run, std::int64_t first, std::int64_t count,
                     std::ostream& out) {
  CLOZE_REQUIRE(first >= 0, ExitCode::kUsage, str("--first is ", first),
                "give the number of a row, counted from 0");
  CLOZE_REQUIRE(count >= 1, ExitCode::kUsage, str("--count is ", count), "ask for at least 1 line");
  CLOZE_REQUIRE(run.data().has_tokenizer(), ExitCode::kUsage, "data.tokenizer is not set",
                "give the folder that holds tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::load(run.data().tokenizer());
  const SampleSource source = open_run_samples(run, Split::kTrain, tokenizer);
  BatchBuilder builder(source);
  std::int64_t lines = 0;
  for (std::int64_t ordinal = first; lines < count; ++ordinal) {
    const Batch batch = builder.build(ordinal, 1);
    for (const SampleBounds& bounds : builder.bounds()) {
      if (lines++ == count) return;
      // A sample may begin or end inside a character.
      out << json_of(copy_sample(batch, bounds), bounds, tokenizer)
                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
          << '\n';
    }
  }
}

}  // namespace cloze
