// cloze prepare: text files to a tokenized shard pair.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "data/prepare.h"
#include "data/tokenizer.h"
#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "trainer/cli/command.h"

namespace cloze {
namespace {

constexpr const char* kEndOfText = "<|endoftext|>";

struct PrepareArguments {
  PrepareOptions options;
  std::filesystem::path tokenizer;
  std::string on_error = "stop";
  std::optional<int> num_workers;
};

// What a person at the terminal sees: a bar that is drawn again, or a line now and then.
class PrepareReporter {
 public:
  PrepareReporter() : terminal_(::isatty(STDERR_FILENO) == 1) {}

  PrepareObserver observer() {
    return {[this](const std::string& line) { notice(line); },
            [this](const PrepareCounts& counts, std::int64_t total) { progress(counts, total); }};
  }

  void clear_bar() const {
    if (terminal_) std::cerr << "\r\033[K" << std::flush;
  }

  double seconds() const { return seconds_since(start_); }

 private:
  // A corpus with a million faults must not bury what else is said; the count is exact anyway.
  static constexpr int kMaxNotices = 20;

  void notice(const std::string& line) {
    if (num_notices_ > kMaxNotices) return;
    clear_bar();
    ++num_notices_;
    std::cerr << (num_notices_ > kMaxNotices ? "more of these are counted, not shown" : line)
              << '\n';
  }

  void progress(const PrepareCounts& counts, std::int64_t total) {
    const double interval = terminal_ ? 0.2 : 10.0;
    if (seconds_since(last_) < interval) return;
    last_ = Clock::now();
    const double share = total > 0 ? static_cast<double>(counts.input_bytes) / total : 1.0;
    if (terminal_) {
      constexpr int kWidth = 30;
      const int filled = static_cast<int>(share * kWidth);
      std::cerr << "\r\033[K[" << std::string(static_cast<std::size_t>(filled), '#')
                << std::string(static_cast<std::size_t>(kWidth - filled), '.') << "] ";
    }
    std::cerr << std::fixed << std::setprecision(1) << 100.0 * share << " %, " << counts.documents
              << " documents, " << counts.tokens << " tokens, " << std::setprecision(0)
              << counts.tokens / seconds() << " tokens/s";
    if (terminal_) {
      std::cerr << std::flush;
    } else {
      std::cerr << '\n';
    }
  }

  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
  int num_notices_ = 0;
};

int run(const PrepareArguments& arguments) {
  PrepareOptions options = arguments.options;
  options.on_error = arguments.on_error == "skip" ? OnError::kSkip : OnError::kStop;
  options.num_workers =
      arguments.num_workers.value_or(std::max(1U, std::thread::hardware_concurrency()));
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  const ShardVocabulary vocabulary{tokenizer.digest(), tokenizer.vocab_size(),
                                   tokenizer.special(kEndOfText)};
  const EncodeFactory make_encode = [&tokenizer]() -> Encode {
    const auto encoder = std::make_shared<Tokenizer::Encoder>(tokenizer);
    return [encoder](std::string_view text, std::vector<std::int32_t>& ids) {
      encoder->encode(text, ids);
    };
  };

  PrepareReporter reporter;
  const PrepareResult result = [&] {
    try {
      return prepare(options, vocabulary, make_encode, reporter.observer());
    } catch (...) {
      reporter.clear_bar();
      throw;
    }
  }();
  reporter.clear_bar();
  const PrepareCounts& counts = result.counts;
  const double seconds = reporter.seconds();
  const ShardManifest& manifest = result.manifest;
  std::cout << str("wrote ", options.output.string(), ": ", counts.documents, " documents, ",
                   counts.tokens, " tokens (", name_of(token_type_for(manifest.vocab_size)),
                   ", largest id ", manifest.largest_id, ")\n")
            << str("read ", counts.input_bytes, " bytes, ", counts.text_bytes,
                   " of text; left out ", counts.empty, " empty, ", counts.skipped,
                   " with faults\n")
            << std::fixed << std::setprecision(2) << "took " << seconds << " s, "
            << std::setprecision(0) << static_cast<double>(counts.tokens) / seconds << " tokens/s\n"
            << str("fingerprint ",
                   shard_fingerprint(manifest.bin_bytes, manifest.idx_digest,
                                     manifest.chunk_digests),
                   "\n")
            << std::flush;
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace

void add_prepare_command(Command root) {
  const auto arguments = std::make_shared<PrepareArguments>();
  const Command command = root.subcommand("prepare", "Tokenize text files to a shard pair");
  PrepareOptions& options = arguments->options;
  command
      .option("--input", options.inputs,
              "Files in order: .jsonl, .ndjson or .json hold a JSON object a line, others "
              "text; .gz and .zst of both")
      .required();
  command.option("--tokenizer", arguments->tokenizer, "Folder with tokenizer.json").required();
  command.option("--output", options.output, "PREFIX of PREFIX.bin, PREFIX.idx, PREFIX.json")
      .required();
  command.option("--text-key", options.text_key, "Key of a JSON line that holds the text")
      .default_shown();
  command.option("--split-documents", options.corpus.split_documents,
                 "A line equal to this parts documents of a text file (default: a file is "
                 "one document)");
  command
      .option("--workers", arguments->num_workers,
              "Threads that tokenize (default: one a core); the output does not depend on it")
      .range(1, 1024);
  command
      .option("--on-error", arguments->on_error,
              "What a malformed record does: stop the run, or skip the record")
      .one_of({"stop", "skip"})
      .default_shown();
  command
      .option("--max-document-bytes", options.corpus.max_document_bytes,
              "A longer JSON line or text document is malformed")
      .range(1, 1 << 30)
      .default_shown();
  command.runs([arguments] { return run(*arguments); });
}

}  // namespace cloze
