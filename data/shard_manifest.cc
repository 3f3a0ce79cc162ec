// Writes and reads PREFIX.json. Reading ends with writing what was read and comparing texts, so
// nothing in the file goes unchecked: the digest covers the values, the comparison the rest.
#include "data/shard_manifest.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "parallel/base/check.h"

namespace cloze {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "cloze-shards";
constexpr std::int64_t kVersion = 1;

Json fields_of(const ShardManifest& manifest) {
  Json chunks = Json::array();
  for (const ContentDigest& digest : manifest.chunk_digests) chunks.push_back(hex_of(digest));
  Json fields;
  fields["format"] = kFormat;
  fields["version"] = kVersion;
  fields["tokenizer"] = manifest.tokenizer_digest;
  fields["vocab_size"] = manifest.vocab_size;
  fields["eos"] = manifest.eos;
  fields["largest_id"] = manifest.largest_id;
  fields["documents"] = manifest.num_documents;
  fields["tokens"] = manifest.num_tokens;
  fields["bin_bytes"] = manifest.bin_bytes;
  fields["idx_bytes"] = manifest.idx_bytes;
  fields["idx_digest"] = hex_of(manifest.idx_digest);
  fields["chunk_bytes"] = kShardChunkBytes;
  fields["chunk_digests"] = std::move(chunks);
  fields["fingerprint"] =
      shard_fingerprint(manifest.bin_bytes, manifest.idx_digest, manifest.chunk_digests);
  return fields;
}

// What a stranger wrote is read into a map with fast look-up: in one that keeps the order, a
// million keys take hours.
using ReadJson = nlohmann::json;

// Reads typed fields; the first that is absent or of another type is named.
class FieldReader {
 public:
  FieldReader(const ReadJson& json, const std::filesystem::path& path) : json_(json), path_(path) {}

  std::int64_t number(const char* key) const {
    const ReadJson& value = at(key);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() &&
         value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()})) {
      refuse(str("\"", key, "\" is not a whole number"));
    }
    return value.get<std::int64_t>();
  }
  std::string text(const char* key) const {
    const ReadJson& value = at(key);
    if (!value.is_string()) refuse(str("\"", key, "\" is not a string"));
    return value.get<std::string>();
  }
  ContentDigest digest(const char* key) const { return digest_in(at(key), key); }
  std::vector<ContentDigest> digests(const char* key) const {
    const ReadJson& values = at(key);
    if (!values.is_array()) refuse(str("\"", key, "\" is not a list"));
    std::vector<ContentDigest> result;
    result.reserve(values.size());
    for (const ReadJson& value : values) result.push_back(digest_in(value, key));
    return result;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ExitCode::kBadInput, str(path_.string(), ": ", what),
         "the manifest is damaged or was edited: make the pair again with `cloze prepare`, or "
         "move the manifest away to use the pair without it");
  }

 private:
  const ReadJson& at(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) refuse(str("\"", key, "\" is missing"));
    return *found;
  }
  ContentDigest digest_in(const ReadJson& value, const char* key) const {
    std::optional<ContentDigest> digest;
    if (value.is_string()) digest = digest_from_hex(value.get_ref<const std::string&>());
    if (!digest) refuse(str("\"", key, "\" is not made of 32 hexadecimal digits"));
    return *digest;
  }

  const ReadJson& json_;
  const std::filesystem::path& path_;
};

}  // namespace

std::string shard_fingerprint(std::int64_t bin_bytes, const ContentDigest& idx_digest,
                              const std::vector<ContentDigest>& chunk_digests) {
  std::string content(kFormat);
  content.append(reinterpret_cast<const char*>(&bin_bytes), sizeof(bin_bytes));
  const auto add = [&](const ContentDigest& digest) {
    content.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  };
  content.reserve(content.size() + sizeof(ContentDigest) * (chunk_digests.size() + 1));
  add(idx_digest);
  for (const ContentDigest& digest : chunk_digests) add(digest);
  return hex_of(digest_of(content));
}

std::string write_manifest(const ShardManifest& manifest) {
  Json fields = fields_of(manifest);
  fields["digest"] = hex_of(digest_of(fields.dump(1)));
  return fields.dump(1) + "\n";
}

bool is_manifest(std::string_view start) {
  return start.starts_with(str("{\n \"format\": \"", kFormat, "\""));
}

ShardManifest parse_manifest(const std::string& text, const std::filesystem::path& path) {
  const ReadJson json = ReadJson::parse(text, nullptr, /*allow_exceptions=*/false);
  const FieldReader fields(json, path);
  if (!json.is_object()) fields.refuse("not a manifest of a shard pair: no JSON object");
  if (fields.text("format") != kFormat) {
    fields.refuse(str("not a manifest of a shard pair: \"format\" is not \"", kFormat, "\""));
  }
  CLOZE_REQUIRE(
      fields.number("version") == kVersion, ExitCode::kBadInput,
      str(path.string(), ": version ", fields.number("version"), ", this program reads ", kVersion),
      "read the pair with the program that made it, or make it again");
  ShardManifest manifest;
  manifest.tokenizer_digest = fields.text("tokenizer");
  manifest.vocab_size = fields.number("vocab_size");
  manifest.eos = static_cast<std::int32_t>(fields.number("eos"));
  manifest.largest_id = fields.number("largest_id");
  manifest.num_documents = fields.number("documents");
  manifest.num_tokens = fields.number("tokens");
  manifest.bin_bytes = fields.number("bin_bytes");
  manifest.idx_bytes = fields.number("idx_bytes");
  manifest.idx_digest = fields.digest("idx_digest");
  manifest.chunk_digests = fields.digests("chunk_digests");
  if (write_manifest(manifest) != text) fields.refuse("its content does not match its digest");
  return manifest;
}

}  // namespace cloze
