// PREFIX.json of a shard pair. Each input is read twice: as it is, and with the fingerprint and
// the digest that fit its values, so that they do not stop the search. It is refused with exit
// code 65, or writing what was read gives the same text.
#include <nlohmann/json.hpp>

#include <vector>

#include "data/shard_manifest.h"
#include "tests/fuzz/fuzzing.h"

namespace cloze::fuzz {
namespace {

using Json = nlohmann::ordered_json;

// The fingerprint of the values; nothing when they are not of their types.
std::optional<std::string> fingerprint_of(const Json& json) {
  for (const char* key : {"bin_bytes", "idx_digest", "chunk_digests"}) {
    if (!json.contains(key)) return std::nullopt;
  }
  const auto digest_in = [](const Json& value) {
    return value.is_string() ? digest_from_hex(value.get<std::string>()) : std::nullopt;
  };
  const auto idx_digest = digest_in(json["idx_digest"]);
  if (!json["bin_bytes"].is_number_integer() || !json["chunk_digests"].is_array() || !idx_digest) {
    return std::nullopt;
  }
  std::vector<ContentDigest> chunks;
  for (const Json& value : json["chunk_digests"]) {
    const auto digest = digest_in(value);
    if (!digest) return std::nullopt;
    chunks.push_back(*digest);
  }
  return shard_fingerprint(json["bin_bytes"].get<std::int64_t>(), *idx_digest, chunks);
}

// The text with the fingerprint and the digest that fit; as it is when it is no JSON object.
std::string sealed(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::string(text);
  json.erase("digest");
  if (json.contains("fingerprint")) {
    if (const auto fingerprint = fingerprint_of(json)) json["fingerprint"] = *fingerprint;
  }
  json["digest"] = hex_of(digest_of(json.dump(1)));
  return json.dump(1) + "\n";
}

void run(std::string_view input) {
  for (const std::string& text : {std::string(input), sealed(input)}) {
    const auto manifest =
        parsed(ExitCode::kBadInput, [&] { return parse_manifest(text, "fuzzed.json"); });
    if (!manifest) continue;
    require(is_manifest(text), "what is read looks like a manifest");
    require(write_manifest(*manifest) == text, "what is read is the same when written again");
    require(parse_manifest(write_manifest(*manifest), "again.json") == *manifest,
            "and when read again");
  }
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
