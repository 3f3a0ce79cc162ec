// cloze inspect HF_DIR: the model, files and tensors of a Hugging Face folder.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "parallel/mesh/shard.h"
#include "trainer/checkpoint/box_copy.h"
#include "trainer/cli/inspect.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/export/model_folder.h"

namespace cloze {
namespace {

// Reads a tensor whole; returns how many of its elements are not finite.
std::int64_t count_not_finite(const ModelFolder& folder, const std::string& name) {
  constexpr std::int64_t kBlockElements = 1 << 20;
  const Box whole = Box::whole(folder.shape(name));
  const std::int64_t rows = whole.shape[0];
  const std::int64_t width = whole.elements() / rows;
  const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / width);
  std::vector<float> values;
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < rows; row += block) {
    const Box part = whole.rows(row, std::min(block, rows - row));
    values.resize(static_cast<std::size_t>(part.elements()));
    folder.read(name, part, DType::kF32, values.data());
    for (const float value : values) count += std::isfinite(value) ? 0 : 1;
  }
  return count;
}

}  // namespace

void inspect_folder(const std::filesystem::path& path, const InspectOptions& options,
                    std::ostream& out) {
  const ModelFolder folder = ModelFolder::open(path);
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;
  std::int64_t not_finite = 0;
  for (const std::string& name : folder.names()) {
    const Shape shape = folder.shape(name);
    parameters += num_elements(shape);
    bytes += num_elements(shape) * size_of(folder.dtype(name));
    if (options.verify) not_finite += count_not_finite(folder, name);
    tensors.push_back(
        {{"name", name}, {"dtype", std::string(name_of(folder.dtype(name)))}, {"shape", shape}});
  }
  nlohmann::ordered_json object;
  object["kind"] = "model folder";
  object["path"] = path.string();
  object["class"] = "GlmForCausalLM";
  object["parameters"] = parameters;
  object["bytes"] = bytes;
  object["num_tensors"] = folder.names().size();
  object["eos_ids"] = folder.config().eos_ids;
  object["verified"] = options.verify;
  if (options.verify) object["not_finite"] = not_finite;
  if (options.json) {
    object["tensors"] = tensors;
    object["config"] = model_yaml(folder.config().model);
    print_inspected(object, options, out);
    return;
  }
  print_inspected(object, options, out);
  out << "\ntensors, by their names in a checkpoint:\n";
  for (const auto& row : tensors) {
    out << "  " << row["name"].get<std::string>() << "  " << row["dtype"].get<std::string>()
        << shape_text(row["shape"].get<Shape>()) << '\n';
  }
  out << "\nthe model section of a config:\n" << model_yaml(folder.config().model);
}

}  // namespace cloze
