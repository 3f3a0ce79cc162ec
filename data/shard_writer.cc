// Documents go into 1 MiB chunks, which are digested and written as they fill.
#include "data/shard_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

ShardPaths temporary_names(const ShardPaths& paths) {
  ShardPaths names = paths;
  for (std::filesystem::path* path : {&names.bin, &names.idx, &names.json}) *path += ".tmp";
  return names;
}

void rename_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  std::filesystem::rename(from, to, error);
  CLOZE_REQUIRE(!error, ExitCode::kIo,
                str("cannot rename ", from.string(), " to ", to.string(), ": ", error.message()),
                "check the permissions of the folder");
}

bool is_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// The start of a file, or nothing when there is none to read.
std::string start_of(const std::filesystem::path& path, std::int64_t bytes) {
  const File file = File::open_for_reading(path);
  std::string start(static_cast<std::size_t>(std::min(bytes, file.size())), '\0');
  file.read_at(0, std::as_writable_bytes(std::span<char>(start)));
  return start;
}

// A corpus may well be named PREFIX.json, and a pair of another tool cannot be made again here.
void refuse_foreign_output(const ShardPaths& paths) {
  constexpr const char* kElsewhere = "choose another output, or move the file away";
  std::error_code error;
  const bool has_json = std::filesystem::exists(paths.json, error);
  CLOZE_REQUIRE(!has_json || is_manifest(start_of(paths.json, 64)), ExitCode::kCannotWrite,
                str(paths.json.string(), " exists and is no manifest of a shard pair"), kElsewhere);
  CLOZE_REQUIRE(has_json || !std::filesystem::exists(paths.idx, error), ExitCode::kCannotWrite,
                str(paths.idx.string(), " exists and was not made by `cloze prepare`"), kElsewhere);
}

// The PREFIX, once it is sure that its folder exists and that the vocabulary makes sense.
const std::filesystem::path& checked_prefix(const ShardPaths& paths,
                                            const ShardVocabulary& vocabulary) {
  CLOZE_REQUIRE(paths.prefix.has_filename() && !is_folder(paths.prefix), ExitCode::kCannotWrite,
                str("the output ", paths.prefix.string(), " is a folder"),
                "name a PREFIX: the files will be PREFIX.bin, PREFIX.idx and PREFIX.json");
  CLOZE_REQUIRE(vocabulary.size > 0 && vocabulary.eos >= 0 && vocabulary.eos < vocabulary.size,
                ExitCode::kBadInput,
                str("the end-of-text id ", vocabulary.eos, " is outside of the vocabulary of ",
                    vocabulary.size),
                "use a tokenizer whose special tokens are ids of its own");
  if (paths.prefix.has_parent_path()) make_directories(paths.prefix.parent_path());
  return paths.prefix;
}

// The file that becomes PREFIX.bin, once it is sure that nothing foreign is there.
File create_bin(const ShardPaths& paths, const ShardPaths& temporary) {
  refuse_foreign_output(paths);
  return File::create(temporary.bin);
}

}  // namespace

OutputLock::OutputLock(const std::filesystem::path& prefix) : path_(prefix) {
  path_ += ".lock";
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    CLOZE_REQUIRE(descriptor_ >= 0, ExitCode::kCannotWrite,
                  str("cannot create ", path_.string(), ": ", std::strerror(errno)),
                  "check that the folder exists and may be written to");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int cause = errno;
      ::close(descriptor_);
      CLOZE_REQUIRE(cause == EWOULDBLOCK, ExitCode::kCannotWrite,
                    str("cannot lock ", path_.string(), ": ", std::strerror(cause)),
                    "write to a file system that has locks");
      fail(ExitCode::kCannotWrite, str("another process is writing ", prefix.string()),
           "wait for it to end, or choose another output");
    }
    // The one before may have removed the file between our open and our lock.
    struct stat ours {};
    struct stat named {};
    if (::fstat(descriptor_, &ours) == 0 && ::stat(path_.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return;
    }
    ::close(descriptor_);
  }
}

OutputLock::~OutputLock() {
  ::unlink(path_.c_str());  // While it is still held.
  ::close(descriptor_);
}

ShardWriter::ShardWriter(const std::filesystem::path& prefix, ShardVocabulary vocabulary)
    : paths_(prefix),
      temporary_(temporary_names(paths_)),
      vocabulary_(std::move(vocabulary)),
      token_type_(token_type_for(vocabulary_.size)),
      lock_(checked_prefix(paths_, vocabulary_)),
      bin_(create_bin(paths_, temporary_)) {
  chunk_.reserve(static_cast<std::size_t>(kShardChunkBytes));
}

ShardWriter::~ShardWriter() {
  if (committed_) return;
  std::error_code ignored;
  for (const auto* path : {&temporary_.bin, &temporary_.idx, &temporary_.json}) {
    std::filesystem::remove(*path, ignored);
  }
}

void ShardWriter::append(std::span<const std::int32_t> document) {
  CLOZE_CHECK(!committed_, "a document after commit()", "append before it");
  CLOZE_CHECK(document.size() >= 2 && document.back() == vocabulary_.eos,
              str("document ", num_documents(), " has ", document.size(),
                  " ids or no end-of-text id at its end"),
              "append at least one id and then the end-of-text id");
  CLOZE_REQUIRE(document.size() <= std::size_t{std::numeric_limits<std::int32_t>::max()},
                ExitCode::kBadInput,
                str("document ", num_documents(), " has ", document.size(),
                    " tokens, more than the format can say"),
                "cut it in shorter documents");
  const auto [least, most] = std::ranges::minmax(document);
  CLOZE_REQUIRE(least >= 0 && most < vocabulary_.size, ExitCode::kBadInput,
                str("document ", num_documents(), " has the id ", least < 0 ? least : most,
                    ", outside of the vocabulary of ", vocabulary_.size),
                "use the tokenizer that the vocabulary belongs to");
  CLOZE_CHECK(std::ranges::find(document, vocabulary_.eos) == document.end() - 1,
              str("document ", num_documents(), " holds the end-of-text id before its end"),
              "encode the text with special tokens off");
  if (token_type_ == TokenType::kU16) {
    store<std::uint16_t>(document);
  } else {
    store<std::int32_t>(document);
  }
  largest_id_ = std::max(largest_id_, most);
  lengths_.push_back(static_cast<std::int32_t>(document.size()));
  num_tokens_ += static_cast<std::int64_t>(document.size());
}

template <typename T>
void ShardWriter::store(std::span<const std::int32_t> ids) {
  while (!ids.empty()) {
    const std::size_t used = chunk_.size();
    const std::size_t room = (static_cast<std::size_t>(kShardChunkBytes) - used) / sizeof(T);
    const std::size_t count = std::min(room, ids.size());
    chunk_.resize(used + count * sizeof(T));
    for (std::size_t i = 0; i < count; ++i) {
      const T id = static_cast<T>(ids[i]);
      std::memcpy(chunk_.data() + used + i * sizeof(T), &id, sizeof(T));
    }
    if (count == room) write_chunk();
    ids = ids.subspan(count);
  }
}

void ShardWriter::write_chunk() {
  chunk_digests_.push_back(digest_of(chunk_));
  bin_.write(chunk_);
  chunk_.clear();
}

ShardManifest ShardWriter::write_index_file() {
  File idx = File::create(temporary_.idx);
  write_index(token_type_, lengths_, idx);
  idx.sync();
  ShardManifest manifest;
  manifest.tokenizer_digest = vocabulary_.tokenizer_digest;
  manifest.vocab_size = vocabulary_.size;
  manifest.eos = vocabulary_.eos;
  manifest.largest_id = largest_id_;
  manifest.num_documents = num_documents();
  manifest.num_tokens = num_tokens_;
  manifest.bin_bytes = num_tokens_ * bytes_of(token_type_);
  manifest.idx_bytes = idx.size();
  manifest.idx_digest = digest_of(idx);
  manifest.chunk_digests = std::move(chunk_digests_);
  idx.close();
  return manifest;
}

ShardManifest ShardWriter::commit() {
  CLOZE_CHECK(!committed_ && num_documents() > 0, "commit() of nothing, or twice",
              "append a document before it");
  if (!chunk_.empty()) write_chunk();
  bin_.sync();
  bin_.close();
  ShardManifest manifest = write_index_file();
  File json = File::create(temporary_.json);
  json.write(write_manifest(manifest));
  json.sync();
  json.close();

  // The pair that this one replaces goes out of sight first: no mixture may ever be seen.
  std::error_code error;
  std::filesystem::remove(paths_.idx, error);
  CLOZE_REQUIRE(!error, ExitCode::kIo,
                str("cannot remove ", paths_.idx.string(), ": ", error.message()),
                "check the permissions of the folder");
  sync_directory(paths_.prefix.parent_path());
  rename_file(temporary_.bin, paths_.bin);
  rename_file(temporary_.json, paths_.json);
  sync_directory(paths_.prefix.parent_path());
  rename_file(temporary_.idx, paths_.idx);
  sync_directory(paths_.prefix.parent_path());
  committed_ = true;
  return manifest;
}

}  // namespace cloze
