// cloze inspect PREFIX: a tokenized shard pair.
#include <nlohmann/json.hpp>
#include <ostream>

#include "data/token_shards.h"
#include "trainer/cli/inspect.h"

namespace cloze {

void print_inspected(const nlohmann::ordered_json& object, const InspectOptions& options,
                     std::ostream& out) {
  if (options.json) {
    out << object.dump() << '\n';
    return;
  }
  for (const auto& [key, value] : object.items()) {
    out << key << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << '\n';
  }
}

void inspect_shards(const std::filesystem::path& prefix, const InspectOptions& options,
                    std::ostream& out) {
  const TokenShards shards = TokenShards::open(prefix);
  if (options.verify) shards.verify();
  nlohmann::ordered_json object;
  object["kind"] = "shards";
  object["prefix"] = shards.prefix().string();
  object["documents"] = shards.num_documents();
  object["tokens"] = shards.num_tokens();
  object["dtype"] = name_of(shards.token_type());
  object["bin_bytes"] = shards.num_tokens() * bytes_of(shards.token_type());
  object["largest_id"] = shards.largest_id();
  object["fingerprint"] = shards.fingerprint();
  object["manifest"] = shards.has_manifest();
  if (const ShardManifest* manifest = shards.manifest()) {
    object["tokenizer"] = manifest->tokenizer_digest;
    object["vocab_size"] = manifest->vocab_size;
    object["eos"] = manifest->eos;
  }
  object["verified"] = options.verify;
  print_inspected(object, options, out);
}

}  // namespace cloze
