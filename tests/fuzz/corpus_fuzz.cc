// Text files on their way into documents. The input is two bytes of options, then the content of
// a file: JSON lines, a text, texts between separators, or compressed bytes as they lie. The
// reader is held to a plain one written here: it gives the same records, from the plain file as
// from gzip and Zstandard members put together. A text of a JSON line is the one that nlohmann's
// parser finds. Damaged compression is refused with exit code 65.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/corpus_reader.h"
#include "data/document_parser.h"
#include "data/text_stream.h"
#include "data/utf8.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/stored_frames.h"

namespace cloze::fuzz {
namespace {

enum class Kind : std::uint8_t { kJsonLines, kText, kSplitText, kCompressed };

struct Record {
  std::int64_t line = 0;
  bool too_long = false;
  std::string text;
  bool operator==(const Record&) const = default;
};

std::vector<std::string_view> lines_of(std::string_view content) {
  std::vector<std::string_view> lines;
  while (!content.empty()) {
    const std::size_t end = content.find('\n');
    lines.push_back(content.substr(0, end));
    if (end == std::string_view::npos) break;
    content.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

Record record_of(std::int64_t line, std::string text, std::int64_t limit) {
  if (std::ssize(text) > limit) return {line, true, ""};
  return {line, false, std::move(text)};
}

// What the records of a file are, read in the plainest way.
std::vector<Record> expected_records(std::string_view content, Kind kind,
                                     const CorpusOptions& options) {
  const std::int64_t limit = options.max_document_bytes;
  std::vector<Record> records;
  if (content.starts_with("\xEF\xBB\xBF")) content.remove_prefix(3);
  if (kind == Kind::kText) return {record_of(1, std::string(content), limit)};
  const std::vector<std::string_view> lines = lines_of(content);
  if (kind == Kind::kJsonLines) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const bool blank = lines[i].find_first_not_of(" \t\r") == std::string_view::npos;
      if (blank && std::ssize(lines[i]) <= limit) continue;
      records.push_back(record_of(static_cast<std::int64_t>(i) + 1, std::string(lines[i]), limit));
    }
    return records;
  }
  std::string text;
  std::size_t first = 0;
  const auto close = [&](std::size_t next) {
    Record record = record_of(static_cast<std::int64_t>(first) + 1, text, limit);
    record.text = without_return(record.text);
    records.push_back(std::move(record));
    first = next;
    text.clear();
  };
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (without_return(lines[i]) == *options.split_documents) {
      close(i + 1);
      continue;
    }
    if (i > first) text += '\n';
    text += lines[i];
  }
  if (first < lines.size()) close(lines.size());
  return records;
}

void check_document(const CorpusChunk& chunk, const CorpusRecord& record, CorpusFormat format,
                    DocumentParser& parser) {
  const DocumentText document = parser.parse(chunk, record, format);
  require(document.line >= record.line, "a fault stands in its record");
  if (!document.fault.empty()) return;
  require(!record.too_long, "what is too long has no text");
  require(!find_invalid_utf8(document.text) && document.text.find('\0') == std::string_view::npos,
          "a text is UTF-8 without NUL");
  if (format == CorpusFormat::kText) {
    require(document.text == chunk.text_of(record), "a text is its record");
    return;
  }
  const auto json = nlohmann::json::parse(chunk.text_of(record), nullptr, false);
  require(json.is_object() && json.contains("text") && json["text"] == document.text,
          "both parsers find the same text");
}

// All records of a file; nothing when it is refused.
std::optional<std::vector<Record>> records_of(const std::filesystem::path& path,
                                              const CorpusOptions& options) {
  return parsed(ExitCode::kBadInput, [&] {
    std::vector<Record> records;
    CorpusReader reader({path}, options);
    DocumentParser parser("text", options.max_document_bytes);
    CorpusChunk chunk;
    while (reader.next(chunk)) {
      for (const CorpusRecord& record : chunk.records) {
        check_document(chunk, record, corpus_format_of(path), parser);
        records.push_back({record.line, record.too_long, std::string(chunk.text_of(record))});
      }
    }
    require(chunk.input_bytes == reader.total_bytes(), "all of the file is read");
    return records;
  });
}

// The bytes behind a stream, read in pieces of `piece` bytes.
std::optional<std::string> bytes_of_stream(const std::filesystem::path& path, std::size_t piece) {
  constexpr std::size_t kEnough = std::size_t{1} << 22;  // A few bytes can stand for gigabytes.
  return parsed(ExitCode::kBadInput, [&] {
    std::string all;
    std::string block(piece, '\0');
    const auto stream = TextStream::open(path);
    while (const std::size_t size = stream->read(block)) {
      require(size <= piece, "a stream gives no more than there is room for");
      all.append(block, 0, size);
      if (all.size() > kEnough) break;
    }
    return all;
  });
}

void check_compressed(const std::filesystem::path& path, const CorpusOptions& options) {
  constexpr std::size_t kSmall = 61;
  const auto large = bytes_of_stream(path, std::size_t{1} << 16);
  const auto small = bytes_of_stream(path, kSmall);
  require(large.has_value() == small.has_value(), "damage does not depend on the reads");
  if (!large) return;
  const std::size_t common = std::min(large->size(), small->size());
  require(large->substr(0, common) == small->substr(0, common), "the bytes do not depend on them");
  records_of(path, options);
}

void run(std::string_view input) {
  static const ScratchFolder scratch;
  constexpr std::array<std::int64_t, 4> kLimits = {5, 24, 100, 1 << 20};
  constexpr std::array<std::int64_t, 2> kChunks = {16, 1 << 19};
  constexpr std::array<std::string_view, 4> kSeparators = {"", "--", "<|end|>", "\xE2\x80\xA6"};
  if (input.size() < 2) return;
  const auto first = static_cast<std::uint8_t>(input[0]);
  const auto second = static_cast<std::uint8_t>(input[1]);
  const auto kind = static_cast<Kind>(first & 3U);
  CorpusOptions options;
  options.max_document_bytes = kLimits[first >> 2 & 3U];
  options.chunk_bytes = kChunks[first >> 4 & 1U];
  const std::string_view content = input.substr(2, 0xFFFF);
  if (kind == Kind::kCompressed) {
    const char* name = (second & 1U) != 0 ? "raw.jsonl.gz" : "raw.jsonl.zst";
    check_compressed(scratch.write(name, content), options);
    return;
  }
  if (kind == Kind::kSplitText) options.split_documents = kSeparators[second & 3U];
  const std::string name = kind == Kind::kJsonLines ? "a.jsonl" : "a.txt";
  const std::vector<Record> expected = expected_records(content, kind, options);
  require(records_of(scratch.write(name, content), options) == expected, "records of the file");
  const std::string_view head = content.substr(0, content.size() / 2);
  const std::string_view tail = content.substr(head.size());
  const auto zipped = scratch.write(name + ".gz", stored_gzip(head) + stored_gzip(tail));
  require(records_of(zipped, options) == expected, "records through gzip");
  const auto frames = scratch.write(name + ".zst", stored_zstandard(head) + stored_zstandard(tail));
  require(records_of(frames, options) == expected, "records through Zstandard");
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
