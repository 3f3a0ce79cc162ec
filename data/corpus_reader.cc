// Lines are copied from the read buffer into the chunk, up to the limit; the rest is passed over.
#include "data/corpus_reader.h"

#include <algorithm>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 18;
constexpr std::size_t kMaxRecords = std::size_t{1} << 14;  // Of a chunk: many may be empty.
constexpr std::size_t kPadding = 64;                       // Read beyond the end by simdjson.
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::string_view without_return(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

CorpusFormat corpus_format_of(const std::filesystem::path& path) {
  std::filesystem::path name = path.filename();
  if (name.extension() == ".gz" || name.extension() == ".zst") name.replace_extension();
  const bool json =
      name.extension() == ".jsonl" || name.extension() == ".ndjson" || name.extension() == ".json";
  return json ? CorpusFormat::kJsonLines : CorpusFormat::kText;
}

CorpusReader::CorpusReader(std::vector<std::filesystem::path> files, CorpusOptions options)
    : files_(std::move(files)), options_(std::move(options)) {
  CLOZE_REQUIRE(options_.max_document_bytes >= 1, ExitCode::kUsage,
                str("a limit of ", options_.max_document_bytes, " bytes allows no document"),
                "give a positive limit");
  for (const std::filesystem::path& path : files_) {
    total_bytes_ += File::open_for_reading(path).size();
  }
}

bool CorpusReader::next(CorpusChunk& chunk) {
  chunk.bytes.clear();
  chunk.records.clear();
  while (static_cast<std::int64_t>(chunk.bytes.size()) < options_.chunk_bytes &&
         chunk.records.size() < kMaxRecords) {
    if (stream_ == nullptr) {
      if (file_ == files_.size()) break;
      open_next();
    }
    if (corpus_format_of(files_[file_]) == CorpusFormat::kJsonLines) {
      read_json_line(chunk);
    } else if (options_.split_documents) {
      read_split_text(chunk, *options_.split_documents);
    } else {
      read_whole_text(chunk);
    }
  }
  chunk.input_bytes = bytes_before_ + (stream_ != nullptr ? stream_->position() : 0);
  chunk.bytes.append(kPadding, '\0');
  return !chunk.records.empty();
}

void CorpusReader::open_next() {
  stream_ = TextStream::open(files_[file_]);
  buffer_.clear();
  begin_ = 0;
  line_ = 1;
  at_start_ = true;
}

// Reads on when all is used; closes the file at its end.
bool CorpusReader::fill() {
  if (begin_ < buffer_.size()) return true;
  if (stream_ == nullptr) return false;  // The end was met before.
  do {
    buffer_.resize(kBufferBytes);
    std::size_t size = stream_->read(buffer_);
    // A mark of three bytes may arrive in pieces.
    while (at_start_ && size > 0 && size < kByteOrderMark.size()) {
      const std::size_t more = stream_->read(std::span<char>(buffer_).subspan(size));
      if (more == 0) break;
      size += more;
    }
    buffer_.resize(size);
    begin_ = 0;
    if (size == 0) {
      bytes_before_ += stream_->position();
      stream_.reset();
      ++file_;
      return false;
    }
    if (std::exchange(at_start_, false) && buffer_.starts_with(kByteOrderMark)) {
      begin_ = kByteOrderMark.size();
    }
  } while (begin_ == buffer_.size());
  return true;
}

// Appends the next line without its newline; one of more than `limit` bytes is passed over.
CorpusReader::Line CorpusReader::append_line(std::string& sink, std::size_t limit) {
  const std::size_t start = sink.size();
  Line line;
  while (!line.terminated && fill()) {
    line.found = true;
    const std::string_view available = std::string_view(buffer_).substr(begin_);
    const std::size_t newline = available.find('\n');
    line.terminated = newline != std::string_view::npos;
    const std::size_t size = std::min(newline, available.size());
    begin_ += size + (line.terminated ? 1 : 0);
    if (line.too_long) continue;
    line.too_long = size > limit - (sink.size() - start);
    if (line.too_long) {
      sink.resize(start);
    } else {
      sink.append(available.substr(0, size));
    }
  }
  if (line.found) ++line_;
  return line;
}

void CorpusReader::read_json_line(CorpusChunk& chunk) {
  CorpusRecord record{file_, line_, chunk.bytes.size()};
  const Line line = append_line(chunk.bytes, static_cast<std::size_t>(options_.max_document_bytes));
  if (!line.found) return;
  record.size = chunk.bytes.size() - record.offset;
  record.too_long = line.too_long;
  if (!line.too_long && is_blank(chunk.text_of(record))) {
    chunk.bytes.resize(record.offset);
    return;
  }
  chunk.records.push_back(record);
}

void CorpusReader::read_whole_text(CorpusChunk& chunk) {
  CorpusRecord record{file_, line_, chunk.bytes.size()};
  while (fill()) {
    const std::size_t size = buffer_.size() - begin_;
    const auto room = static_cast<std::size_t>(options_.max_document_bytes) -
                      (chunk.bytes.size() - record.offset);
    if (size > room) record.too_long = true;
    if (record.too_long) {
      chunk.bytes.resize(record.offset);
    } else {
      chunk.bytes.append(buffer_, begin_, size);
    }
    begin_ = buffer_.size();
  }
  record.size = chunk.bytes.size() - record.offset;
  chunk.records.push_back(record);
}

// One document: the lines up to a separator or the end, without the newline before that.
void CorpusReader::read_split_text(CorpusChunk& chunk, const std::string& separator) {
  const auto limit = static_cast<std::size_t>(options_.max_document_bytes);
  CorpusRecord record{file_, line_, chunk.bytes.size()};
  std::string& bytes = chunk.bytes;
  std::size_t text_end = record.offset;  // Before the newline of the last line.
  bool any = false;
  for (;;) {
    const std::size_t start = bytes.size();
    const std::size_t used = start - record.offset;
    // A separator must be recognised where the document has no room left.
    const std::size_t room = std::max(limit - std::min(used, limit), separator.size() + 1);
    const Line line = append_line(bytes, room);
    const bool separates = line.found && !line.too_long &&
                           without_return(std::string_view(bytes).substr(start)) == separator;
    if (!line.found || separates) {
      bytes.resize(text_end);
      if (!line.found && !any) return;  // Nothing stands behind the last separator.
      break;
    }
    any = true;
    if (line.too_long || bytes.size() - record.offset > limit) record.too_long = true;
    if (record.too_long) {
      bytes.resize(record.offset);
      text_end = record.offset;
      continue;
    }
    text_end = record.offset + without_return(std::string_view(bytes).substr(record.offset)).size();
    if (line.terminated) bytes.push_back('\n');
  }
  record.size = bytes.size() - record.offset;
  chunk.records.push_back(record);
}

}  // namespace cloze
