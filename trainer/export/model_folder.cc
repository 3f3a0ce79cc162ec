#include "trainer/export/model_folder.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/box_copy.h"
#include "trainer/checkpoint/convert.h"
#include "trainer/export/tensor_map.h"

namespace cloze {
namespace {

using Json = nlohmann::json;

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::int64_t kLargestIndex = 64 << 20;  // Bytes.
constexpr std::size_t kMostFiles = 10'000;
constexpr std::int64_t kBlockBytes = 8 << 20;  // Read at a time.

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// A name in the folder itself: nothing of an index may lead elsewhere.
bool is_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

// The files that an index names, sorted; the weight map itself is not needed: the headers say
// where the tensors are.
std::set<std::string> files_of_index(const std::filesystem::path& path) {
  const Json json = Json::parse(read_file(path, kLargestIndex), nullptr, false);
  const auto bad = [&](const std::string& problem) {
    fail(ExitCode::kBadInput, str(path.string(), ": ", problem), "copy the folder again");
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    bad("it is no object with a weight_map");
  }
  std::set<std::string> names;
  for (const Json& value : json["weight_map"]) {
    if (!value.is_string()) bad("weight_map names a file that is no text");
    const auto name = value.get<std::string>();
    if (!is_file_name(name)) bad("weight_map names a file outside of the folder");
    names.insert(name);
    if (names.size() > kMostFiles) bad(str("it names more than ", kMostFiles, " files"));
  }
  if (names.empty()) bad("weight_map is empty");
  return names;
}

// Buffers that older programs save beside the weights; we compute them.
bool is_derived(std::string_view name) { return name.ends_with("rotary_emb.inv_freq"); }

}  // namespace

bool is_model_folder(const std::filesystem::path& path) { return is_there(path / "config.json"); }

ModelFolder ModelFolder::open(const std::filesystem::path& folder) {
  CLOZE_REQUIRE(is_model_folder(folder), ExitCode::kBadInput,
                str(folder.string(), is_there(folder) ? " has no config.json" : " does not exist"),
                "name a folder that save_pretrained or `cloze export` wrote");
  ModelFolder opened(folder, read_folder_config(folder));
  opened.open_files();
  opened.place_tensors();
  return opened;
}

void ModelFolder::open_files() {
  std::set<std::string> names;
  if (is_there(folder_ / kIndexName)) {
    names = files_of_index(folder_ / kIndexName);
  } else {
    const bool pickled = is_there(folder_ / "pytorch_model.bin") ||
                         is_there(folder_ / "pytorch_model.bin.index.json");
    CLOZE_REQUIRE(is_there(folder_ / kSingleName), ExitCode::kBadInput,
                  str(folder_.string(), " has neither ", kSingleName, " nor ", kIndexName),
                  pickled ? "pickled weights can run code when they are read, so they are not: "
                            "load the folder with transformers and save_pretrained it again"
                          : "copy the folder again");
    names.insert(kSingleName);
  }
  for (const std::string& name : names) {
    files_.push_back(SafetensorsReader::open(folder_ / name));
  }
}

void ModelFolder::place_tensors() {
  // Where each of the folder's tensors is.
  std::map<std::string, std::pair<std::size_t, const SafetensorsEntry*>> found;
  std::string problems;
  const auto problem = [&](const std::string& text) {
    if (problems.size() < 2000) problems += (problems.empty() ? "" : "; ") + text;
  };
  for (std::size_t file = 0; file < files_.size(); ++file) {
    for (const SafetensorsEntry& entry : files_[file].tensors()) {
      if (is_derived(entry.name)) continue;
      if (!found.emplace(entry.name, std::pair(file, &entry)).second) {
        problem(str(entry.name, " is in two files"));
      }
    }
  }
  for (const FolderTensor& tensor : folder_tensors(config_.model)) {
    const auto at = found.find(tensor.name);
    if (at == found.end()) {
      problem(str(tensor.name, " is missing"));
      continue;
    }
    const auto [file, entry] = at->second;
    const bool is_right = entry->shape == tensor.shape();
    if (!is_right) {
      problem(str(tensor.name, " has shape ", shape_text(entry->shape), ", config.json asks for ",
                  shape_text(tensor.shape())));
    }
    if (!is_floating(entry->dtype)) {
      problem(str(tensor.name, " is ", name_of(entry->dtype), ", no floating type"));
    }
    std::int64_t row = 0;
    for (const TensorPart& part : tensor.parts) {
      places_.emplace(part.name, Place{file, *entry, row, part.shape});
      names_.push_back(part.name);
      row += part.shape[0];
    }
    found.erase(at);
  }
  // A tied head may be stored all the same.
  if (config_.model.tie_word_embeddings()) found.erase("lm_head.weight");
  for (const auto& [name, at] : found) problem(str(name, " is no tensor of this model"));
  CLOZE_REQUIRE(problems.empty(), ExitCode::kBadInput, str(folder_.string(), ": ", problems),
                "the weights do not belong to this config.json, or a file is missing: copy the "
                "folder again");
}

const ModelFolder::Place& ModelFolder::place(std::string_view name) const {
  const auto found = places_.find(name);
  CLOZE_REQUIRE(found != places_.end(), ExitCode::kBadInput,
                str(folder_.string(), " has no tensor ", name),
                "use a folder of the same model, or change the config's model section");
  return found->second;
}

config::Precision::Compute ModelFolder::compute() const {
  std::set<DType> types;
  for (const auto& [name, at] : places_) types.insert(at.entry.dtype);
  if (types.contains(DType::kF64)) return config::Precision::fp64;
  if (types.size() > 1 || types.contains(DType::kF32)) return config::Precision::fp32;
  return types.contains(DType::kBF16) ? config::Precision::bf16 : config::Precision::fp16;
}

bool ModelFolder::has(std::string_view name) const { return places_.contains(name); }

Shape ModelFolder::shape(std::string_view name) const { return place(name).shape; }

DType ModelFolder::dtype(std::string_view name) const { return place(name).entry.dtype; }

void ModelFolder::read_bytes(const std::string& name, std::int64_t first,
                             std::span<std::byte> out) const {
  const Place& at = place(name);
  const std::int64_t row_bytes = at.entry.bytes() / at.entry.shape[0];
  files_[at.file].read(at.entry, at.first_row * row_bytes + first, out);
}

void ModelFolder::read(const std::string& name, const Box& box, DType dtype, void* out) const {
  const Place& at = place(name);
  CLOZE_REQUIRE(box.global == at.shape, ExitCode::kBadInput,
                str("tensor ", name, " of ", folder_.string(), " has shape ", shape_text(at.shape),
                    ", the model wants ", shape_text(box.global)),
                "use a folder of the same model, or change the config's model section");
  CLOZE_REQUIRE(is_floating(dtype), ExitCode::kBadInput,
                str("tensor ", name, " cannot be read as ", name_of(dtype)),
                "read weights as a floating type");
  // Whole rows are read, then the elements of the box taken out of them.
  const Box whole = Box::whole(at.shape);
  const std::int64_t row_bytes = at.entry.bytes() / at.entry.shape[0];
  const std::int64_t block = std::max<std::int64_t>(1, kBlockBytes / row_bytes);
  const std::int64_t last = box.offset[0] + box.shape[0];
  std::vector<std::byte> bytes;
  for (std::int64_t row = box.offset[0]; row < last; row += block) {
    const Box rows = whole.rows(row, std::min(block, last - row));
    bytes.resize(static_cast<std::size_t>(rows.shape[0] * row_bytes));
    read_bytes(name, row * row_bytes, bytes);
    for_each_common_run(rows, box, [&](const Run& run) {
      convert(bytes.data() + run.source * size_of(at.entry.dtype), at.entry.dtype,
              static_cast<std::byte*>(out) + run.target * size_of(dtype), dtype, run.count);
    });
  }
}

}  // namespace cloze
