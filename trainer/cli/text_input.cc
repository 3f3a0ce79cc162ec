#include "trainer/cli/text_input.h"

#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/export/shown_json.h"

namespace cloze {
namespace {

constexpr std::int64_t kLargestFile = 256 << 20;  // Bytes: some ten million ids.

}  // namespace

std::vector<std::int32_t> read_ids(const std::filesystem::path& path, std::int64_t vocab_size) {
  const nlohmann::json json =
      nlohmann::json::parse(read_file(path, kLargestFile), nullptr, /*allow_exceptions=*/false);
  CLOZE_REQUIRE(json.is_array() && !json.empty(), ExitCode::kBadInput,
                str(path.string(), " is no JSON array of token ids"), "write [1, 2, 3]");
  std::vector<std::int32_t> ids;
  ids.reserve(json.size());
  for (const nlohmann::json& id : json) {
    const bool is_id = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                       id.get<std::int64_t>() < vocab_size;
    CLOZE_REQUIRE(is_id, ExitCode::kBadInput,
                  str(path.string(), ": entry ", ids.size(), " is ", shown(id),
                      ", no token id below ", vocab_size),
                  "write integers that the model's vocabulary has");
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace cloze
