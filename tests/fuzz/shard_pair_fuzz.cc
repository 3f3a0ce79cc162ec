// A shard pair. The input is a byte of options, two bytes with the size of the .idx, the .idx,
// and the .bin. An option repairs the header, another one lengths, offsets and boundaries as well,
// so that mutation reaches what stands behind their checks. A pair is refused with exit code 65,
// or its documents make up its tokens, its ids are none too large and none negative, writing its
// index again gives the same bytes, and it opens with a manifest that was made for it.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "data/shard_index.h"
#include "data/shard_manifest.h"
#include "data/token_shards.h"
#include "tests/fuzz/fuzzing.h"

namespace cloze::fuzz {
namespace {

constexpr std::size_t kHeaderBytes = 34;
constexpr std::size_t kSequencesAt = 18;
constexpr std::size_t kBoundariesAt = 26;
constexpr std::uint8_t kRepairsHeader = 1;
constexpr std::uint8_t kRepairsArrays = 2;

template <typename T>
T number_at(const std::string& bytes, std::size_t place) {
  T number;
  std::memcpy(&number, bytes.data() + place, sizeof(T));
  return number;
}

template <typename T>
void put_at(std::string& bytes, std::size_t place, T number) {
  std::memcpy(bytes.data() + place, &number, sizeof(T));
}

struct Files {
  std::string idx;
  std::string bin;
};

// Magic, version, dtype, and counts that fit the size.
void repair_header(std::string& idx) {
  constexpr std::array<std::uint8_t, 6> kTypes = {1, 2, 3, 4, 5, 8};
  idx.resize(std::max(idx.size(), kHeaderBytes + 8));
  std::memcpy(idx.data(), "MMIDIDX\0\0", 9);
  put_at(idx, 9, std::uint64_t{1});
  const auto type = static_cast<std::uint8_t>(idx[17]);
  idx[17] = static_cast<char>(kTypes[type % kTypes.size()]);
  const std::uint64_t room = idx.size() - kHeaderBytes - 8;
  const std::uint64_t sequences = number_at<std::uint64_t>(idx, kSequencesAt) % (room / 12 + 1);
  const std::uint64_t boundaries = 1 + (room - 12 * sequences) / 8;
  put_at(idx, kSequencesAt, sequences);
  put_at(idx, kBoundariesAt, boundaries);
  idx.resize(kHeaderBytes + 12 * sequences + 8 * boundaries);
}

// Small lengths, the offsets that follow from them, boundaries in order.
void repair_arrays(Files& files) {
  constexpr std::int64_t kLongest = 32;
  std::string& idx = files.idx;
  const auto sequences = number_at<std::uint64_t>(idx, kSequencesAt);
  const auto boundaries = number_at<std::uint64_t>(idx, kBoundariesAt);
  const std::int64_t token_bytes = bytes_of(static_cast<TokenType>(idx[17]));
  std::int64_t tokens = 0;
  for (std::uint64_t i = 0; i < sequences; ++i) {
    const std::size_t place = kHeaderBytes + 4 * i;
    const auto length = static_cast<std::int32_t>(number_at<std::uint32_t>(idx, place) % kLongest);
    put_at(idx, place, length);
    put_at(idx, kHeaderBytes + 4 * sequences + 8 * i, tokens * token_bytes);
    tokens += length;
  }
  std::vector<std::uint64_t> starts;
  for (std::uint64_t i = 0; i < boundaries; ++i) {
    const std::size_t place = kHeaderBytes + 12 * sequences + 8 * i;
    starts.push_back(number_at<std::uint64_t>(idx, place) % (sequences + 1));
  }
  std::ranges::sort(starts);
  starts.front() = 0;
  if (boundaries > 1) starts.back() = sequences;
  for (std::uint64_t i = 0; i < boundaries; ++i) {
    put_at(idx, kHeaderBytes + 12 * sequences + 8 * i, starts[i]);
  }
  files.bin.resize(static_cast<std::size_t>(tokens * token_bytes), '\1');
}

Files files_of(std::string_view input) {
  input = input.substr(0, std::size_t{1} << 16);
  std::string head(input.substr(0, 3));
  head.resize(3);
  const std::string_view rest = input.substr(std::min<std::size_t>(3, input.size()));
  const auto size = std::min<std::size_t>(number_at<std::uint16_t>(head, 1), rest.size());
  Files files{std::string(rest.substr(0, size)), std::string(rest.substr(size))};
  const auto options = static_cast<std::uint8_t>(head[0]);
  if ((options & (kRepairsHeader | kRepairsArrays)) != 0) repair_header(files.idx);
  if ((options & kRepairsArrays) != 0) repair_arrays(files);
  return files;
}

void check_index(const ShardIndex& index, const Files& files, const ScratchFolder& scratch) {
  const std::vector<std::int64_t>& starts = index.document_starts;
  require(!starts.empty() && starts.front() == 0 && std::ranges::is_sorted(starts),
          "documents follow each other from token 0 on");
  require(index.num_tokens() * bytes_of(index.token_type) == std::ssize(files.bin),
          "documents make up the .bin");
  if (index.num_sequences != std::ssize(starts) - 1) return;
  // Our own indexes have one sequence a document, and no mode bytes.
  std::vector<std::int32_t> lengths;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
    lengths.push_back(static_cast<std::int32_t>(starts[i + 1] - starts[i]));
  }
  File again = File::create(scratch.path() / "again.idx");
  write_index(index.token_type, lengths, again);
  again.close();
  const std::string bytes = read_file(scratch.path() / "again.idx", 1 << 20);
  const bool has_modes = bytes.size() != files.idx.size();
  // Empty documents may share a boundary's place with sequences in more than one way.
  const bool has_empty = std::ranges::find(lengths, 0) != lengths.end();
  require(has_modes || has_empty || bytes == files.idx, "an index is the same when written again");
}

void check_tokens(const TokenShards& shards) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(shards.num_tokens()));
  shards.read_tokens(0, all);
  const auto [least, most] = std::ranges::minmax(all);
  require(least >= 0 && most == shards.largest_id(), "ids are none too large and none negative");
  std::vector<std::int32_t> joined;
  std::int64_t open = 0;
  const std::int32_t eos = all.back();
  for (std::int64_t i = 0; i < shards.num_documents(); ++i) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(shards.document_length(i)));
    shards.read_document(i, 0, ids);
    joined.insert(joined.end(), ids.begin(), ids.end());
    const bool closed = !ids.empty() && ids.back() == eos;
    require(shards.has_manifest() || shards.ends_with(i, eos) == closed, "ends are told rightly");
    open += closed ? 0 : 1;
  }
  require(joined == all, "documents make up the tokens");
  require(shards.has_manifest() || shards.documents_without(eos) == open, "ends are counted");
}

// The manifest that `cloze prepare` would write for the pair; -1 stands for no end.
ShardManifest manifest_for(const TokenShards& shards, const Files& files, std::int32_t eos) {
  ShardManifest manifest;
  manifest.tokenizer_digest = "0123";
  manifest.eos = eos;
  manifest.largest_id = shards.largest_id();
  manifest.vocab_size = manifest.largest_id + 1;
  manifest.num_documents = shards.num_documents();
  manifest.num_tokens = shards.num_tokens();
  manifest.bin_bytes = std::ssize(files.bin);
  manifest.idx_bytes = std::ssize(files.idx);
  manifest.idx_digest = digest_of(files.idx);
  const std::string_view bin = files.bin;
  for (std::size_t at = 0; at < bin.size(); at += kShardChunkBytes) {
    manifest.chunk_digests.push_back(digest_of(bin.substr(at, kShardChunkBytes)));
  }
  return manifest;
}

void run(std::string_view input) {
  static const ScratchFolder scratch;
  const Files files = files_of(input);
  const std::filesystem::path idx = scratch.write("pair.idx", files.idx);
  scratch.write("pair.bin", files.bin);
  std::filesystem::remove(scratch.path() / "pair.json");
  const auto index = parsed(ExitCode::kBadInput, [&] {
    return read_index(File::open_for_reading(idx), std::ssize(files.bin));
  });
  if (index) check_index(*index, files, scratch);

  const auto open = [&] {
    return parsed(ExitCode::kBadInput, [&] { return TokenShards::open(idx, nullptr); });
  };
  const auto shards = open();
  require(!shards || index, "a pair has an index");
  if (!shards) return;
  check_tokens(*shards);
  shards->verify();

  const std::int64_t last = shards->num_tokens() - 1;
  std::array<std::int32_t, 1> eos{};
  shards->read_tokens(last, eos);
  scratch.write("pair.json", write_manifest(manifest_for(*shards, files, eos[0])));
  const auto ours = open();
  require(ours.has_value() && ours->has_manifest(), "a pair opens with its manifest");
  require(ours->fingerprint() == shards->fingerprint(), "a manifest changes no fingerprint");
  check_tokens(*ours);
  const auto verified = parsed(ExitCode::kBadInput, [&] {
    ours->verify();
    return true;
  });
  require(verified.has_value() == (shards->documents_without(eos[0]) == 0),
          "verifying finds a document without its end");
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
