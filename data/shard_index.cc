// Reads and writes Megatron's .idx: magic, version, dtype code, counts, then three arrays.
// All numbers are little endian, packed; the arrays start at byte 34 and are not aligned.
#include "data/shard_index.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is read as it lies");

constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr std::string_view kOldMagic("TNTIDX\0\0", 8);
constexpr std::uint64_t kVersion = 1;
constexpr std::int64_t kHeaderBytes = 34;
constexpr std::int64_t kBlockBytes = std::int64_t{1} << 16;
// Sequences and documents without a token that a pair may have: a header that claims more would
// make the reader allocate for nothing.
constexpr std::uint64_t kEmptyAllowed = std::uint64_t{1} << 20;

constexpr const char* kMakeAgain = "the index is damaged or of another kind: make or copy it again";

// Walks an array of the file, one block in memory at a time.
template <typename T>
class ArrayCursor {
 public:
  ArrayCursor(const File& file, std::int64_t offset, std::int64_t count)
      : file_(file), offset_(offset), left_(count) {}

  std::int64_t next() {
    if (place_ == block_.size()) fill();
    return static_cast<std::int64_t>(block_[place_++]);
  }

 private:
  void fill() {
    constexpr auto kPerBlock = kBlockBytes / static_cast<std::int64_t>(sizeof(T));
    const std::int64_t count = std::min(left_, kPerBlock);
    CLOZE_CHECK(count > 0, str("read past an array of ", file_.path().string()), "report this");
    block_.resize(static_cast<std::size_t>(count));
    file_.read_at(offset_, std::as_writable_bytes(std::span(block_)));
    offset_ += count * static_cast<std::int64_t>(sizeof(T));
    left_ -= count;
    place_ = 0;
  }

  const File& file_;
  std::int64_t offset_;
  std::int64_t left_;  // Elements not yet read.
  std::vector<T> block_;
  std::size_t place_ = 0;
};

template <typename T>
T number_at(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <typename T>
void put(std::string& bytes, T value) {
  const std::size_t size = bytes.size();
  bytes.resize(size + sizeof(T));
  std::memcpy(bytes.data() + size, &value, sizeof(T));
}

struct Header {
  TokenType token_type;
  std::int64_t num_sequences;
  std::int64_t num_boundaries;  // Documents + 1.
};

TokenType token_type_of(std::uint8_t code, const std::string& path) {
  CLOZE_REQUIRE(code != 6 && code != 7, ExitCode::kBadInput,
                str(path, ": dtype code ", int{code}, " at byte 17 is a floating-point type"),
                "name a pair of token ids");
  CLOZE_REQUIRE((code >= 1 && code <= 5) || code == 8, ExitCode::kBadInput,
                str(path, ": unknown dtype code ", int{code}, " at byte 17"), kMakeAgain);
  return static_cast<TokenType>(code);
}

Header read_header(const File& idx, std::int64_t bin_bytes) {
  const std::string path = idx.path().string();
  const std::int64_t size = idx.size();
  CLOZE_REQUIRE(size >= kHeaderBytes, ExitCode::kBadInput,
                str(path, " has ", size, " bytes, too few for the header of 34"), kMakeAgain);
  std::string bytes(kHeaderBytes, '\0');
  idx.read_at(0, std::as_writable_bytes(std::span<char>(bytes)));
  CLOZE_REQUIRE(!bytes.starts_with(kOldMagic), ExitCode::kBadInput,
                str(path, " is an index of the older kind (TNTIDX)"),
                "make the pair again with a current preprocessing tool or with `cloze prepare`");
  CLOZE_REQUIRE(bytes.starts_with(kMagic), ExitCode::kBadInput,
                str(path, " does not begin with MMIDIDX: it is no index of a shard pair"),
                kMakeAgain);
  const auto version = number_at<std::uint64_t>(bytes, 9);
  CLOZE_REQUIRE(version != __builtin_bswap64(kVersion), ExitCode::kBadInput,
                str(path, " is in big-endian byte order"),
                "make the pair again on a little-endian machine");
  CLOZE_REQUIRE(version == kVersion, ExitCode::kBadInput,
                str(path, ": version ", version, " at byte 9 is not 1"), kMakeAgain);
  const TokenType type = token_type_of(static_cast<std::uint8_t>(bytes[17]), path);

  // The counts are compared with the size before anything is allocated for them.
  const auto sequences = number_at<std::uint64_t>(bytes, 18);
  const auto boundaries = number_at<std::uint64_t>(bytes, 26);
  const auto room = static_cast<std::uint64_t>(size - kHeaderBytes);
  const bool fits = sequences <= room / 12 && boundaries <= room / 8 &&
                    (12 * sequences + 8 * boundaries == room ||
                     13 * sequences + 8 * boundaries == room);  // One mode byte a sequence.
  CLOZE_REQUIRE(fits, ExitCode::kBadInput,
                str(path, ": ", sequences, " sequences and ", boundaries,
                    " document boundaries do not fit its size of ", size, " bytes"),
                kMakeAgain);
  CLOZE_REQUIRE(boundaries >= 1, ExitCode::kBadInput,
                str(path, ": the document index is empty; it has at least its end"), kMakeAgain);
  const auto tokens = static_cast<std::uint64_t>(bin_bytes / bytes_of(type));
  CLOZE_REQUIRE(sequences <= tokens + kEmptyAllowed && boundaries <= sequences + 1 + kEmptyAllowed,
                ExitCode::kBadInput,
                str(path, ": ", sequences, " sequences in ", boundaries - 1, " documents for ",
                    tokens, " tokens: more than 1,048,576 of them are empty"),
                "make the pair again without empty documents");
  return {type, static_cast<std::int64_t>(sequences), static_cast<std::int64_t>(boundaries)};
}

// Fails with the document boundary `entry` of the index.
[[noreturn]] void fail_boundary(const std::string& path, std::int64_t entry, std::int64_t value,
                                const std::string& wish) {
  fail(ExitCode::kBadInput,
       str(path, ": entry ", entry, " of the document index is ", value, ", ", wish), kMakeAgain);
}

}  // namespace

ShardPaths::ShardPaths(const std::filesystem::path& name) : prefix(name) {
  if (prefix.extension() == ".bin" || prefix.extension() == ".idx") prefix.replace_extension();
  const auto with = [&](const char* ending) {
    std::filesystem::path path = prefix;
    path += ending;
    return path;
  };
  bin = with(".bin");
  idx = with(".idx");
  json = with(".json");
}

std::int64_t bytes_of(TokenType type) {
  switch (type) {
    case TokenType::kU8:
    case TokenType::kI8:
      return 1;
    case TokenType::kI16:
    case TokenType::kU16:
      return 2;
    case TokenType::kI32:
      return 4;
    case TokenType::kI64:
      return 8;
  }
  return 0;
}

const char* name_of(TokenType type) {
  switch (type) {
    case TokenType::kU8:
      return "u8";
    case TokenType::kI8:
      return "i8";
    case TokenType::kI16:
      return "i16";
    case TokenType::kI32:
      return "i32";
    case TokenType::kI64:
      return "i64";
    case TokenType::kU16:
      return "u16";
  }
  return "?";
}

TokenType token_type_for(std::int64_t vocab_size) {
  return vocab_size < 65500 ? TokenType::kU16 : TokenType::kI32;
}

ShardIndex read_index(const File& idx, std::int64_t bin_bytes) {
  const std::string path = idx.path().string();
  const Header header = read_header(idx, bin_bytes);
  const std::int64_t sequences = header.num_sequences;
  const std::int64_t token_bytes = bytes_of(header.token_type);
  ArrayCursor<std::int32_t> lengths(idx, kHeaderBytes, sequences);
  ArrayCursor<std::int64_t> offsets(idx, kHeaderBytes + 4 * sequences, sequences);
  ArrayCursor<std::int64_t> boundaries(idx, kHeaderBytes + 12 * sequences, header.num_boundaries);

  ShardIndex index{header.token_type, sequences, {}};
  index.document_starts.reserve(static_cast<std::size_t>(header.num_boundaries));
  std::int64_t entry = 0;
  std::int64_t boundary = boundaries.next();
  if (boundary != 0) fail_boundary(path, 0, boundary, "not 0");
  std::int64_t tokens = 0;
  for (std::int64_t sequence = 0; sequence <= sequences; ++sequence) {
    while (boundary == sequence) {
      index.document_starts.push_back(tokens);
      if (++entry == header.num_boundaries) break;
      boundary = boundaries.next();
      if (boundary < sequence) fail_boundary(path, entry, boundary, "less than the one before");
    }
    if (sequence == sequences || entry == header.num_boundaries) break;
    const std::int64_t length = lengths.next();
    const std::int64_t offset = offsets.next();
    CLOZE_REQUIRE(length >= 0, ExitCode::kBadInput,
                  str(path, ": sequence ", sequence, " has the negative length ", length),
                  kMakeAgain);
    CLOZE_REQUIRE(offset == tokens * token_bytes, ExitCode::kBadInput,
                  str(path, ": sequence ", sequence, " starts at byte ", offset,
                      " of .bin, the lengths before it say ", tokens * token_bytes),
                  kMakeAgain);
    tokens += length;
    CLOZE_REQUIRE(tokens <= bin_bytes / token_bytes, ExitCode::kBadInput,
                  str(path, ": sequence ", sequence, " ends at token ", tokens, ", .bin has ",
                      bin_bytes / token_bytes, " (", bin_bytes, " bytes of ",
                      name_of(header.token_type), ")"),
                  "the .bin is truncated or belongs to another index: copy or make both again");
  }
  if (entry != header.num_boundaries) {
    fail_boundary(path, entry, boundary, str("more than the ", sequences, " sequences"));
  }
  if (boundary != sequences) {
    fail_boundary(path, entry - 1, boundary, str("it must be the end, ", sequences));
  }
  CLOZE_REQUIRE(
      tokens * token_bytes == bin_bytes, ExitCode::kBadInput,
      str(path, " describes ", tokens * token_bytes, " bytes of .bin, which has ", bin_bytes),
      "the .bin is longer than its index: copy or make both again");
  return index;
}

void write_index(TokenType type, const std::vector<std::int32_t>& document_lengths, File& idx) {
  std::string block(kMagic);
  const auto put_number = [&](auto value) {
    put(block, value);
    if (static_cast<std::int64_t>(block.size()) >= kBlockBytes) {
      idx.write(block);
      block.clear();
    }
  };
  const std::uint64_t sequences = document_lengths.size();
  put_number(kVersion);
  put_number(static_cast<std::uint8_t>(type));
  put_number(sequences);
  put_number(sequences + 1);
  for (const std::int32_t length : document_lengths) put_number(length);
  std::int64_t offset = 0;
  for (const std::int32_t length : document_lengths) {
    put_number(offset);
    offset += length * bytes_of(type);
  }
  for (std::uint64_t document = 0; document <= sequences; ++document) put_number(document);
  idx.write(block);
}

}  // namespace cloze
