#include "trainer/export/export_model.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

constexpr std::int64_t kBlockBytes = 32 << 20;  // Of a tensor in memory at a time.
constexpr std::int64_t kLargestText = 256 << 20;

// What a tokenizer's folder may hold for transformers.
constexpr std::array kTokenizerFiles = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
// The ends of a text in published GLM-4 models, those of them that a tokenizer has.
constexpr std::array kEndTokens = {"<|endoftext|>", "<|user|>", "<|observation|>"};

DType dtype_of_compute(config::Precision::Compute compute) {
  switch (compute) {
    case config::Precision::bf16:
      return DType::kBF16;
    case config::Precision::fp16:
      return DType::kF16;
    case config::Precision::fp32:
      return DType::kF32;
    case config::Precision::fp64:
      break;
  }
  fail(ExitCode::kUsage, "the model was computed in fp64, which no folder holds",
       "choose --dtype fp32");
}

// How many numbers of a type that a folder can have are infinite or no number: all bits of the
// exponent are set.
std::int64_t count_not_finite(std::span<const std::byte> bytes, DType dtype) {
  std::int64_t count = 0;
  const auto count_as = [&]<typename Bits>(Bits exponent) {
    for (std::size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
      Bits bits;
      std::memcpy(&bits, bytes.data() + at, sizeof bits);
      count += (bits & exponent) == exponent ? 1 : 0;
    }
  };
  if (dtype == DType::kF32) count_as(std::uint32_t{0x7F800000U});
  if (dtype == DType::kBF16) count_as(std::uint16_t{0x7F80U});
  if (dtype == DType::kF16) count_as(std::uint16_t{0x7C00U});
  return count;
}

std::int64_t write_part(const WeightSource& weights, const TensorPart& part, DType dtype,
                        SafetensorsWriter& writer) {
  const Box whole = Box::whole(part.shape);
  const std::int64_t row_bytes = whole.elements() / part.shape[0] * size_of(dtype);
  const std::int64_t block = std::max<std::int64_t>(1, kBlockBytes / row_bytes);
  std::vector<std::byte> buffer;
  std::int64_t not_finite = 0;
  for (std::int64_t row = 0; row < part.shape[0]; row += block) {
    const std::int64_t count = std::min(block, part.shape[0] - row);
    buffer.resize(static_cast<std::size_t>(count * row_bytes));
    weights.read(part.name, whole.rows(row, count), dtype, buffer.data());
    not_finite += count_not_finite(buffer, dtype);
    writer.write(buffer);
  }
  return not_finite;
}

// The config of the folder: ends and padding of the weights' own where they name some, else those
// of the tokenizer.
FolderConfig config_of(const OpenedModel& opened, const ExportOptions& options) {
  FolderConfig config{opened.model, opened.eos_ids, opened.pad_id};
  if (options.without_tokenizer) return config;
  const Tokenizer tokenizer = tokenizer_of(opened, options.tokenizer);
  if (config.eos_ids.empty()) {
    for (const char* token : kEndTokens) {
      if (const auto id = tokenizer.id_of(token)) config.eos_ids.push_back(*id);
    }
  }
  if (!config.pad_id) config.pad_id = tokenizer.id_of(kEndTokens.front());
  return config;
}

}  // namespace

ModelExport::ModelExport(const OpenedModel& opened, ExportOptions options)
    : opened_(opened),
      options_(std::move(options)),
      output_(options_.output.has_filename() ? options_.output : options_.output.parent_path()),
      dtype_(options_.dtype ? *options_.dtype : dtype_of_compute(opened.compute)) {
  std::int64_t in_file = 0;
  for (FolderTensor& tensor : folder_tensors(opened.model)) {  // Each moves into its file.
    for (const TensorPart& part : tensor.parts) {
      const Shape held = opened.weights->shape(part.name);  // Refuses a tensor that is missing.
      CLOZE_REQUIRE(held == part.shape, ExitCode::kBadInput,
                    str(opened.path.string(), ": tensor ", part.name,
                        " has not the shape that its config says"),
                    "use another checkpoint");
    }
    const std::int64_t bytes = num_elements(tensor.shape()) * size_of(dtype_);
    if (files_.empty() || (in_file > 0 && in_file + bytes > options_.shard_bytes)) {
      files_.emplace_back();
      in_file = 0;
    }
    files_.back().push_back(std::move(tensor));
    in_file += bytes;
    bytes_ += bytes;
  }
  config_ = config_of(opened, options_);
}

std::string ModelExport::file_name(std::size_t index) const {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "model-%05zu-of-%05zu.safetensors", index + 1,
                files_.size());
  return text.data();
}

std::filesystem::path ModelExport::temporary() const {
  return output_.parent_path() / str(".tmp-", output_.filename().string(), "-", options_.token);
}

void ModelExport::create_folder() const {
  std::error_code error;
  const bool taken =
      std::filesystem::exists(output_, error) &&
      !(std::filesystem::is_directory(output_, error) && std::filesystem::is_empty(output_, error));
  CLOZE_REQUIRE(!taken, ExitCode::kCannotWrite,
                str(output_.string(), " exists and is not an empty folder"),
                "choose another --output, or remove it");
  make_directories(temporary());
  const std::filesystem::space_info space = std::filesystem::space(temporary(), error);
  if (!error && space.available < static_cast<std::uintmax_t>(bytes_)) {
    abandon();
    fail(ExitCode::kIo,
         str("no space for the export in ", temporary().string(), ": it needs ", bytes_, " bytes, ",
             space.available, " are free"),
         "free space on the device, or choose another --output");
  }
}

std::int64_t ModelExport::write_files(std::int64_t part, std::int64_t parts) const {
  std::int64_t not_finite = 0;
  for (std::int64_t index = part; index < num_files(); index += parts) {
    const auto file = static_cast<std::size_t>(index);
    std::vector<SafetensorsTensor> header;
    for (const FolderTensor& tensor : files_[file]) {
      header.push_back({tensor.name, dtype_, tensor.shape()});
    }
    // Several loaders refuse a file without the format.
    SafetensorsWriter writer(temporary() / file_name(file), header, {{"format", "pt"}});
    for (const FolderTensor& tensor : files_[file]) {
      for (const TensorPart& piece : tensor.parts) {
        not_finite += write_part(*opened_.weights, piece, dtype_, writer);
      }
    }
    writer.finish();
  }
  return not_finite;
}

std::string ModelExport::index_json() const {
  nlohmann::json json;  // Sorted by name, as transformers writes it.
  json["metadata"]["total_size"] = bytes_;
  for (std::size_t file = 0; file < files_.size(); ++file) {
    for (const FolderTensor& tensor : files_[file]) {
      json["weight_map"][tensor.name] = file_name(file);
    }
  }
  return json.dump(2) + "\n";
}

void ModelExport::complete() const {
  const std::filesystem::path folder = temporary();
  if (!options_.without_tokenizer) {
    const std::filesystem::path& from =
        options_.tokenizer.empty() ? opened_.tokenizer : options_.tokenizer;
    for (const char* name : kTokenizerFiles) {
      std::error_code ignored;
      if (!std::filesystem::exists(from / name, ignored)) continue;
      write_file_atomically(folder / name, read_file(from / name, kLargestText));
    }
  }
  write_file_atomically(folder / "model.safetensors.index.json", index_json());
  write_file_atomically(folder / "generation_config.json", generation_config_json(config_));
  write_file_atomically(folder / "config.json", folder_config_json(config_, dtype_));
  std::error_code error;
  std::filesystem::rename(folder, output_, error);  // An empty folder makes way, nothing else.
  CLOZE_REQUIRE(
      !error, ExitCode::kCannotWrite,
      str("cannot rename ", folder.string(), " to ", output_.string(), ": ", error.message()),
      "check the permissions of the folder above it");
  sync_directory(output_.parent_path());
}

void ModelExport::abandon() const noexcept {
  try {
    std::error_code error;
    std::filesystem::remove_all(temporary(), error);
  } catch (...) {
    return;  // No memory for a name: what stays begins with .tmp-.
  }
}

}  // namespace cloze
