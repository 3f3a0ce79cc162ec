// Text files as a stream of numbered chunks of records, cut where a document can begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text_stream.h"

namespace cloze {

enum class CorpusFormat : std::uint8_t { kText, kJsonLines };

// JSON Lines when the name ends in .jsonl, .ndjson or .json, before .gz or .zst; else text.
CorpusFormat corpus_format_of(const std::filesystem::path& path);

struct CorpusOptions {
  // Text files hold several documents, parted by lines that are equal to this; else each is one.
  std::optional<std::string> split_documents = std::nullopt;
  std::int64_t max_document_bytes = std::int64_t{64} << 20;  // Of a JSON line or a text document.
  std::int64_t chunk_bytes = std::int64_t{1} << 19;          // A chunk ends once it has so many.
};

// What may become a document: a JSON line that is not blank, or a text.
struct CorpusRecord {
  std::size_t file = 0;   // Place in the list of files.
  std::int64_t line = 0;  // Where it starts, from 1.
  std::size_t offset = 0;
  std::size_t size = 0;   // 0 when it is too long.
  bool too_long = false;  // More than max_document_bytes; its bytes were not kept.
};

struct CorpusChunk {
  std::string bytes;  // Of all records; bytes beyond each can be read, as JSON parsers do.
  std::vector<CorpusRecord> records;
  std::int64_t input_bytes = 0;  // Of the files, compressed as they are, read so far.

  std::string_view text_of(const CorpusRecord& record) const {
    return std::string_view(bytes).substr(record.offset, record.size);
  }
};

// Reads the files in their order, in memory bounded by chunk_bytes + max_document_bytes.
class CorpusReader {
 public:
  // Opens every file once to see that it can be read: kBadInput names the first that cannot.
  CorpusReader(std::vector<std::filesystem::path> files, CorpusOptions options);

  // Fills the next chunk; false at the end of the last file.
  bool next(CorpusChunk& chunk);

  std::int64_t total_bytes() const { return total_bytes_; }  // Sizes of the files as they lie.

 private:
  struct Line {
    bool found = false;       // False at the end of the file.
    bool terminated = false;  // By a newline, and not by the end.
    bool too_long = false;    // Its bytes were not kept.
  };

  void open_next();
  bool fill();
  Line append_line(std::string& sink, std::size_t limit);
  void read_json_line(CorpusChunk& chunk);
  void read_whole_text(CorpusChunk& chunk);
  void read_split_text(CorpusChunk& chunk, const std::string& separator);

  std::vector<std::filesystem::path> files_;
  CorpusOptions options_;
  std::int64_t total_bytes_ = 0;
  std::int64_t bytes_before_ = 0;  // Of the files before this one.
  std::size_t file_ = 0;           // The place of the open file.
  std::unique_ptr<TextStream> stream_;
  std::string buffer_;  // Read from the stream; [begin_, size) is not yet used.
  std::size_t begin_ = 0;
  std::int64_t line_ = 0;  // The number of the next line.
  bool at_start_ = true;   // Of the file: a byte-order mark may stand here.
};

}  // namespace cloze
