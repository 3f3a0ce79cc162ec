// The sample source of a config.
#pragma once

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "data/sample_source.h"
#include "data/tokenizer.h"

namespace cloze {

enum class Split { kTrain, kValidation };

// Opens the tokenizer and the shards of a split. kUsage when a key is missing or out of range,
// kBadInput when a file is, or when shards were made by another tokenizer or hold an id beyond
// `vocab_size` (the model's; 0 leaves that out).
SampleSource open_samples(const config::Data& data, const config::Objective& objective, Split split,
                          std::uint64_t seed, std::int64_t vocab_size);

// The same with a tokenizer that is already open.
SampleSource open_samples(const config::Data& data, const config::Objective& objective, Split split,
                          std::uint64_t seed, std::int64_t vocab_size, const Tokenizer& tokenizer);

}  // namespace cloze
