// Text files to a tokenized shard pair.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus_reader.h"
#include "data/shard_manifest.h"
#include "data/shard_writer.h"

namespace cloze {

// What happens to a record that cannot become a document.
enum class OnError : std::uint8_t {
  kStop,  // The run ends, naming file and line; nothing is written.
  kSkip,  // It is said, counted and left out.
};

struct PrepareOptions {
  std::vector<std::filesystem::path> inputs;  // In this order.
  std::filesystem::path output;               // PREFIX.
  std::string text_key = "text";              // Of a JSON line.
  CorpusOptions corpus;
  int num_workers = 1;
  OnError on_error = OnError::kStop;
};

struct PrepareCounts {
  std::int64_t documents = 0;
  std::int64_t tokens = 0;       // The closing eos of each document included.
  std::int64_t text_bytes = 0;   // Of the documents, as UTF-8.
  std::int64_t empty = 0;        // Left out: documents without text.
  std::int64_t skipped = 0;      // Left out: records with a fault.
  std::int64_t input_bytes = 0;  // Of the files, compressed as they are.

  bool operator==(const PrepareCounts&) const = default;
};

// Appends the ids of valid UTF-8, none of them the eos. One is made for each worker, in its
// thread.
using Encode = std::function<void(std::string_view text, std::vector<std::int32_t>& ids)>;
using EncodeFactory = std::function<Encode()>;

// Told, in the caller's thread, what a person may want to know.
struct PrepareObserver {
  std::function<void(const std::string& line)> notice;
  std::function<void(const PrepareCounts& so_far, std::int64_t total_input_bytes)> progress;
};

struct PrepareResult {
  PrepareCounts counts;
  ShardManifest manifest;
};

// Writes PREFIX.bin, PREFIX.idx, PREFIX.json. The bytes depend on the inputs and options, not on
// num_workers. Faults of the input, and input without a document: kBadInput; an output that
// cannot be written: kCannotWrite; an input that would be overwritten: kUsage.
PrepareResult prepare(const PrepareOptions& options, const ShardVocabulary& vocabulary,
                      const EncodeFactory& make_encode, const PrepareObserver& observer);

}  // namespace cloze
