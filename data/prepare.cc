// One thread reads chunks of records, workers parse and encode them, the caller's thread writes
// them in the order they were read.
#include "data/prepare.h"

#include <map>
#include <utility>

#include "data/document_parser.h"
#include "data/ordered_pipeline.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

// Text between reader and writer: enough to keep workers busy, and no more.
constexpr std::int64_t kChunksPerWorker = 4;
constexpr std::int64_t kMaxTextInFlight = std::int64_t{256} << 20;

constexpr const char* kRepairOrSkip =
    "repair the input, or leave such records out with --on-error skip";

struct Fault {
  std::string place;  // file:line.
  std::string what;
};

struct EncodedChunk {
  std::vector<std::int32_t> ids;  // Documents one after another, each with its eos.
  std::vector<std::size_t> ends;  // [documents], in ids.
  std::vector<Fault> faults;
  std::int64_t text_bytes = 0;
  std::int64_t empty = 0;
  std::int64_t input_bytes = 0;
};

class ChunkEncoder {
 public:
  ChunkEncoder(const PrepareOptions& options, std::int32_t eos, Encode encode)
      : options_(options),
        eos_(eos),
        encode_(std::move(encode)),
        parser_(options.text_key, options.corpus.max_document_bytes) {}

  EncodedChunk operator()(const CorpusChunk& chunk) {
    EncodedChunk encoded;
    encoded.input_bytes = chunk.input_bytes;
    for (const CorpusRecord& record : chunk.records) {
      if (!encoded.faults.empty() && options_.on_error == OnError::kStop) break;
      add(chunk, record, encoded);
    }
    return encoded;
  }

 private:
  void add(const CorpusChunk& chunk, const CorpusRecord& record, EncodedChunk& encoded) {
    const std::filesystem::path& file = options_.inputs[record.file];
    DocumentText document = parser_.parse(chunk, record, corpus_format_of(file));
    const std::string place = str(file.string(), ":", document.line);
    if (!document.fault.empty()) {
      encoded.faults.push_back({place, std::move(document.fault)});
      return;
    }
    const std::size_t start = encoded.ids.size();
    if (!document.text.empty()) {
      try {
        encode_(document.text, encoded.ids);
      } catch (const Error& error) {
        fail(error.code(), str(place, ": ", error.problem()), error.fix());
      }
    }
    if (encoded.ids.size() == start) {
      ++encoded.empty;
      return;
    }
    encoded.ids.push_back(eos_);
    encoded.ends.push_back(encoded.ids.size());
    encoded.text_bytes += static_cast<std::int64_t>(document.text.size());
  }

  const PrepareOptions& options_;
  std::int32_t eos_;
  Encode encode_;
  DocumentParser parser_;
};

void check_paths(const PrepareOptions& options, const PrepareObserver& observer) {
  const ShardPaths paths(options.output);
  std::map<std::filesystem::path, int> times;
  for (const std::filesystem::path& input : options.inputs) {
    const std::filesystem::path real = std::filesystem::weakly_canonical(input);
    for (const std::filesystem::path* output : {&paths.bin, &paths.idx, &paths.json}) {
      CLOZE_REQUIRE(real != std::filesystem::weakly_canonical(*output), ExitCode::kUsage,
                    str("the input ", input.string(), " is a file of the output"),
                    "choose another output PREFIX");
    }
    if (++times[real] == 2) {
      observer.notice(str(input.string(), " is given more than once: its documents are too"));
    }
  }
}

// Writes what the workers made, and keeps the counts.
class ChunkSink {
 public:
  ChunkSink(OnError on_error, ShardWriter& writer, const PrepareObserver& observer)
      : on_error_(on_error), writer_(writer), observer_(observer) {}

  void take(const EncodedChunk& chunk, std::int64_t total_input_bytes) {
    for (const Fault& fault : chunk.faults) {
      CLOZE_REQUIRE(on_error_ == OnError::kSkip, ExitCode::kBadInput,
                    str(fault.place, ": ", fault.what), kRepairOrSkip);
      observer_.notice(str(fault.place, ": skipped: ", fault.what));
    }
    std::size_t start = 0;
    for (const std::size_t end : chunk.ends) {
      writer_.append(std::span(chunk.ids).subspan(start, end - start));
      start = end;
    }
    counts_.documents = writer_.num_documents();
    counts_.tokens = writer_.num_tokens();
    counts_.text_bytes += chunk.text_bytes;
    counts_.empty += chunk.empty;
    counts_.skipped += static_cast<std::int64_t>(chunk.faults.size());
    counts_.input_bytes = chunk.input_bytes;
    observer_.progress(counts_, total_input_bytes);
  }

  const PrepareCounts& counts() const { return counts_; }

 private:
  OnError on_error_;
  ShardWriter& writer_;
  const PrepareObserver& observer_;
  PrepareCounts counts_;
};

}  // namespace

PrepareResult prepare(const PrepareOptions& options, const ShardVocabulary& vocabulary,
                      const EncodeFactory& make_encode, const PrepareObserver& observer) {
  CLOZE_REQUIRE(!options.inputs.empty(), ExitCode::kUsage, "no input to prepare",
                "name at least one file");
  CLOZE_REQUIRE(options.num_workers >= 1, ExitCode::kUsage,
                str(options.num_workers, " workers cannot do the work"), "ask for 1 or more");
  CorpusReader reader(options.inputs, options.corpus);
  check_paths(options, observer);
  ShardWriter writer(options.output, vocabulary);
  ChunkSink sink(options.on_error, writer, observer);

  OrderedPipeline<CorpusChunk, EncodedChunk> pipeline;
  pipeline.produce = [&](CorpusChunk& chunk) { return reader.next(chunk); };
  pipeline.weight = [](const CorpusChunk& chunk) {
    return static_cast<std::int64_t>(chunk.bytes.size());
  };
  pipeline.make_worker = [&]() -> std::function<EncodedChunk(const CorpusChunk&)> {
    const auto encoder = std::make_shared<ChunkEncoder>(options, vocabulary.eos, make_encode());
    return [encoder](const CorpusChunk& chunk) { return (*encoder)(chunk); };
  };
  pipeline.consume = [&](EncodedChunk& chunk) { sink.take(chunk, reader.total_bytes()); };
  pipeline.max_items = kChunksPerWorker * options.num_workers;
  pipeline.max_weight = kMaxTextInFlight;
  pipeline.run(options.num_workers);

  PrepareCounts counts = sink.counts();
  counts.input_bytes = reader.total_bytes();
  CLOZE_REQUIRE(counts.documents > 0, ExitCode::kBadInput,
                str("no document in ", options.inputs.size(), " file(s): ", counts.empty,
                    " empty, ", counts.skipped, " skipped"),
                "name files that hold text");
  return {counts, writer.commit()};
}

}  // namespace cloze
