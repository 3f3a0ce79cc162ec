#include "trainer/cli/model_input.h"

#include <ATen/Parallel.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/cli/job.h"
#include "trainer/export/shown_json.h"
#include "trainer/loop/checkpointing.h"

namespace cloze {
namespace {

constexpr std::int64_t kLargestFile = 256 << 20;  // Bytes: some ten million ids.

}  // namespace

void add_model_options(Command command, ModelInput& input, const std::string& text_option,
                       const std::string& text_meaning) {
  command.option("MODEL", input.model, "Checkpoint, run or Hugging Face folder").required();
  const Command given = command.alternatives("input", "What the model reads");
  given.option(text_option, input.text, text_meaning);
  given.option("--ids", input.ids, "JSON file with one flat array of token ids");
  command.option("--tokenizer", input.tokenizer, "Folder, instead of the model's own");
  command.option("--tensor", input.tensor, "Ranks that share each matrix; all of the job")
      .positive();
}

int run_model_job(const ModelInput& input, const std::function<int(const ModelJob&)>& body) {
  JobPlace place;
  return run_job(place, [&](MpiSession& session, Communicator& world) {
    at::set_num_threads(threads_of("auto", session.local_size()));
    const std::unique_ptr<Communicator> tensor = tensor_group(session, input.tensor);
    place.phase = "model";
    return body({place, world, tensor.get(), agreed_model(world, input.model)});
  });
}

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
