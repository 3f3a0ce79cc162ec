// cloze tokenizer train | encode | decode: learns a vocabulary from text, shows the ids of a text
// and the text of ids.
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "data/bpe_trainer.h"
#include "data/corpus_reader.h"
#include "data/document_parser.h"
#include "data/tokenizer.h"
#include "data/tokenizer_files.h"
#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/cli/command.h"

namespace cloze {
namespace {

constexpr std::int64_t kLargestText = std::int64_t{1} << 30;  // Bytes of a document.

struct TrainOptions {
  std::vector<std::filesystem::path> inputs;
  std::string text_key = "text";  // Of a JSON line.
  std::int64_t vocab_size = 0;
  std::filesystem::path output;
};

struct EncodeOptions {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path tokenizer;
  bool parse_special = false;
};

struct DecodeOptions {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path tokenizer;
  bool skip_special = false;
};

// Counts the words of every document; a fault of the input ends the run.
void add_texts(const TrainOptions& options, BpeTrainer& trainer) {
  CorpusOptions corpus;
  corpus.max_document_bytes = kLargestText;
  CorpusReader reader(options.inputs, corpus);
  DocumentParser parser(options.text_key, corpus.max_document_bytes);
  std::int64_t num_documents = 0;
  std::int64_t num_bytes = 0;
  for (CorpusChunk chunk; reader.next(chunk);) {
    for (const CorpusRecord& record : chunk.records) {
      const std::filesystem::path& file = options.inputs[record.file];
      const DocumentText document = parser.parse(chunk, record, corpus_format_of(file));
      CLOZE_REQUIRE(document.fault.empty(), ExitCode::kBadInput,
                    str(file.string(), ":", document.line, ": ", document.fault),
                    "correct the input or leave the file out");
      trainer.add(document.text);
      ++num_documents;
      num_bytes += static_cast<std::int64_t>(document.text.size());
    }
  }
  std::cerr << str("read ", num_documents, " documents, ", num_bytes, " bytes, ",
                   trainer.num_distinct_words(), " distinct words\n");
}

int train(const TrainOptions& options) {
  // Refused before the texts are read, for they may be many.
  CLOZE_REQUIRE(
      options.vocab_size >= BpeTrainer::smallest_vocab_size(), ExitCode::kUsage,
      str("--vocab-size ", options.vocab_size, " is too small"),
      str("256 bytes and the special tokens need at least ", BpeTrainer::smallest_vocab_size()));
  BpeTrainer trainer;
  add_texts(options, trainer);
  const TokenizerContent content =
      trainer.train(options.vocab_size, [](std::int64_t found, std::int64_t wanted) {
        std::cerr << str("merges ", found, " of ", wanted, '\n');
      });
  write_tokenizer_files(options.output, content);
  std::cout << str("wrote ", (options.output / "tokenizer.json").string(), ": ", options.vocab_size,
                   " tokens, digest ", Tokenizer::load(options.output).digest(), '\n');
  return static_cast<int>(ExitCode::kDone);
}

// Runs `work` on the text of a file, and says which file an error is about.
template <typename Work>
void with_text(const std::filesystem::path& path, const Work& work) {
  const std::string text = read_file(path, kLargestText);
  try {
    work(text);
  } catch (const Error& error) {
    fail(error.code(), str(path.string(), ": ", error.problem()), error.fix());
  }
}

int written() {
  std::cout.flush();
  CLOZE_REQUIRE(std::cout.good(), ExitCode::kIo, "cannot write to the standard output",
                "check that the reader of the pipe or the disk takes all");
  return static_cast<int>(ExitCode::kDone);
}

// One line of ids a file.
int encode(const EncodeOptions& options) {
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  Tokenizer::Encoder encoder(tokenizer);
  std::vector<std::int32_t> ids;
  for (const std::filesystem::path& path : options.inputs) {
    with_text(path, [&](const std::string& text) {
      ids.clear();
      if (options.parse_special) {
        ids = tokenizer.encode(text, /*parse_special=*/true);
      } else {
        encoder.encode(text, ids);
      }
      std::string line;
      for (const std::int32_t id : ids) {
        if (!line.empty()) line += ' ';
        line += std::to_string(id);
      }
      std::cout << line << '\n';
    });
  }
  return written();
}

// Decimal numbers between blanks and line ends.
std::vector<std::int32_t> parse_ids(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::vector<std::int32_t> ids;
  for (std::size_t at = 0; (at = text.find_first_not_of(kBlanks, at)) != std::string_view::npos;) {
    const std::string_view word =
        text.substr(at, text.find_first_of(kBlanks, at) - at);  // To the end when there is none.
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, ids.emplace_back());
    CLOZE_REQUIRE(error == std::errc() && stop == end, ExitCode::kBadInput,
                  str("\"", word.substr(0, 40), "\" (byte ", at, ") is no id"),
                  "give decimal numbers as `cloze tokenizer encode` prints them");
    at += word.size();
  }
  return ids;
}

// The bytes of the ids of all files and nothing else, so that they can be compared with a text.
int decode(const DecodeOptions& options) {
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  for (const std::filesystem::path& path : options.inputs) {
    with_text(path, [&](const std::string& text) {
      std::cout << tokenizer.decode(parse_ids(text), options.skip_special);
    });
  }
  return written();
}

void add_decode_command(Command command) {
  const auto options = std::make_shared<DecodeOptions>();
  const Command decoding =
      command.subcommand("decode", "Print the bytes of ids, as encode prints them");
  decoding.option("--tokenizer", options->tokenizer, "Folder with tokenizer.json").required();
  decoding.option("--input", options->inputs, "Files of decimal ids with blanks between")
      .required();
  decoding.flag("--skip-special", options->skip_special,
                "Leave special tokens out instead of printing their names");
  decoding.runs([options] { return decode(*options); });
}

}  // namespace

void add_tokenizer_command(Command root) {
  const Command command = root.subcommand("tokenizer", "Train a tokenizer or show what one does");
  command.require_subcommand();

  // The options live as long as the parser that fills them.
  const auto train_options = std::make_shared<TrainOptions>();
  const Command training =
      command.subcommand("train", "Learn a byte-level BPE vocabulary from UTF-8 text");
  training
      .option("--input", train_options->inputs,
              "Text files, each a document, and .jsonl; also .gz and .zst")
      .required();
  training.option("--text-key", train_options->text_key, "Key of a JSON line's text")
      .default_shown();
  training
      .option("--vocab-size", train_options->vocab_size,
              "Tokens in all: bytes, merged pieces and GLM's special tokens")
      .required();
  training
      .option("--output", train_options->output,
              "Folder for tokenizer.json and tokenizer_config.json")
      .required();
  training.runs([train_options] { return train(*train_options); });

  const auto encode_options = std::make_shared<EncodeOptions>();
  const Command encoding =
      command.subcommand("encode", "Print the ids of text files, a line a file");
  encoding.option("--tokenizer", encode_options->tokenizer, "Folder with tokenizer.json")
      .required();
  encoding.option("--input", encode_options->inputs, "UTF-8 text files").required();
  encoding.flag("--parse-special", encode_options->parse_special,
                "Read strings such as <sop> in the text as the special tokens they name");
  encoding.runs([encode_options] { return encode(*encode_options); });
  add_decode_command(command);
}

}  // namespace cloze
