// cloze inspect CHECKPOINT: the state, files and tensors of a checkpoint.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>

#include "parallel/base/check.h"
#include "trainer/checkpoint/box_copy.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/cli/inspect.h"

namespace cloze {
namespace {

constexpr std::string_view kOptimizerPrefix = "optimizer.";

// Text out of a file must not steer the terminal it is shown on.
std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
    result += control ? '?' : c;
  }
  return result;
}

nlohmann::ordered_json tensors_of(const Checkpoint& checkpoint, bool digests) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const checkpoint::Tensor& tensor : checkpoint.manifest().tensors()) {
    nlohmann::ordered_json& row = tensors.emplace_back();
    row["name"] = tensor.name();
    row["dtype"] = tensor.dtype();
    row["shape"] = checkpoint.shape(tensor.name());
    row["parts"] = tensor.entries_size();
    if (digests) row["digest"] = checkpoint.content_digest(tensor.name()).hex();
  }
  return tensors;
}

nlohmann::ordered_json files_of(const Checkpoint& checkpoint) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const checkpoint::File& file : checkpoint.manifest().files()) {
    Digest digest;
    std::copy_n(file.digest().begin(), Digest::kBytes, digest.bytes.begin());
    files.push_back({{"name", file.name()}, {"bytes", file.size()}, {"digest", digest.hex()}});
  }
  return files;
}

// What is one number or text each.
nlohmann::ordered_json summary_of(const Checkpoint& checkpoint, bool verified) {
  const CheckpointState& state = checkpoint.state();
  std::int64_t parameters = 0;
  for (const std::string& name : checkpoint.names()) {
    if (!name.starts_with(kOptimizerPrefix)) parameters += num_elements(checkpoint.shape(name));
  }
  std::int64_t bytes = 0;
  for (const checkpoint::File& file : checkpoint.manifest().files()) bytes += file.size();
  nlohmann::ordered_json object;
  object["kind"] = "checkpoint";
  object["path"] = checkpoint.folder().string();
  object["step"] = state.step();
  object["run_id"] = state.run_id();
  object["digest"] = checkpoint.digest().hex();
  object["restarts"] = state.lineage().restarts();
  object["consumed_rows"] = state.consumed_rows();
  object["consumed_tokens"] = state.consumed_tokens();
  object["seed"] = state.seed();
  object["parameters"] = parameters;
  object["num_tensors"] = checkpoint.manifest().tensors_size();
  object["num_files"] = checkpoint.manifest().files_size();
  object["bytes"] = bytes;
  object["dataset_fingerprint"] = state.dataset_fingerprint();
  object["tokenizer_digest"] = state.tokenizer_digest();
  if (state.has_loss_scaler()) object["loss_scale"] = state.loss_scaler().scale();
  object["skipped_steps"] = state.guard().skipped_steps();
  object["verified"] = verified;
  return object;
}

void print_for_people(const Checkpoint& checkpoint, const InspectOptions& options,
                      const nlohmann::ordered_json& summary, std::ostream& out) {
  for (const auto& [key, value] : summary.items()) {
    out << key << ": " << printable(value.is_string() ? value.get<std::string>() : value.dump())
        << '\n';
  }
  for (const std::string& warning : checkpoint.warnings()) {
    out << "warning: " << printable(warning) << '\n';
  }
  out << "\ntensors:\n";
  for (const nlohmann::ordered_json& row : tensors_of(checkpoint, options.verify)) {
    const auto parts = row["parts"].get<int>();
    out << "  " << row["name"].get<std::string>() << "  " << row["dtype"].get<std::string>()
        << shape_text(row["shape"].get<Shape>()) << (parts > 1 ? str("  in ", parts, " parts") : "")
        << (options.verify ? str("  ", row["digest"].get<std::string>()) : "") << '\n';
  }
  std::map<std::string, std::string> numerics;  // The message keeps them in no order.
  for (const auto& [name, value] : checkpoint.state().numerics()) numerics[name] = value;
  if (!numerics.empty()) out << "\nnumerics:\n";
  for (const auto& [name, value] : numerics) {
    out << "  " << printable(name) << ": " << printable(value) << '\n';
  }
  if (!checkpoint.state().config_yaml().empty()) {
    out << "\nconfig:\n" << printable(checkpoint.state().config_yaml());
  }
}

}  // namespace

void inspect_checkpoint(const std::filesystem::path& path, const InspectOptions& options,
                        std::ostream& out) {
  const Checkpoint checkpoint = Checkpoint::open(resolve_checkpoint(path));
  if (options.verify) checkpoint.verify();
  nlohmann::ordered_json object = summary_of(checkpoint, options.verify);
  if (!options.json) {
    print_for_people(checkpoint, options, object, out);
    return;
  }
  const CheckpointState& state = checkpoint.state();
  object["files"] = files_of(checkpoint);
  object["tensors"] = tensors_of(checkpoint, options.verify);
  object["optimizer_steps"] = nlohmann::ordered_json::object();
  for (const auto& [name, steps] : state.optimizer_steps()) object["optimizer_steps"][name] = steps;
  object["numerics"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : state.numerics()) object["numerics"][name] = value;
  object["warnings"] = checkpoint.warnings();
  object["config"] = state.config_yaml();
  out << object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace cloze
