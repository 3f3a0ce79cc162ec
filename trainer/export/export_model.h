// Writes a model as a Hugging Face folder that transformers, and what serves such folders, load.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/export/folder_config.h"
#include "trainer/export/open_model.h"
#include "trainer/export/tensor_map.h"

namespace cloze {

struct ExportOptions {
  std::filesystem::path output;     // The folder to make; kCannotWrite when it has content.
  std::filesystem::path tokenizer;  // Instead of the model's own; may be empty.
  bool without_tokenizer = false;
  std::optional<DType> dtype;  // As the model computes unless said: fp32, bf16 or fp16.
  std::int64_t shard_bytes = 5'000'000'000;  // Largest weight file, unless one tensor is larger.
  std::string token;  // Names the folder until it is whole; the same on all ranks.
};

// The parts of an export that ranks do at the same time. One rank creates the folder, then each
// writes its files, then one completes it: a folder under the final name is whole.
class ModelExport {
 public:
  // Reads headers and the tokenizer, so that what is wrong is known before gigabytes are written.
  // kUsage for a family that has no class in transformers, and for fp64. `opened` lives longer.
  ModelExport(const OpenedModel& opened, ExportOptions options);

  void create_folder() const;
  // Files index % parts == part. Returns how many of their numbers are not finite, such as those
  // that a narrow type cannot hold.
  std::int64_t write_files(std::int64_t part, std::int64_t parts) const;
  // The index, the configs, the tokenizer; then the rename.
  void complete() const;
  // After a failure: removes what was written.
  void abandon() const noexcept;

  std::int64_t num_files() const { return static_cast<std::int64_t>(files_.size()); }
  std::int64_t bytes() const { return bytes_; }  // Of all tensors.
  DType dtype() const { return dtype_; }

 private:
  std::string file_name(std::size_t index) const;
  std::string index_json() const;
  std::filesystem::path temporary() const;

  const OpenedModel& opened_;
  const ExportOptions options_;
  const std::filesystem::path output_;  // options_.output without a slash at its end.
  const DType dtype_;
  FolderConfig config_;
  std::vector<std::vector<FolderTensor>> files_;  // Tensors of each file.
  std::int64_t bytes_ = 0;
};

}  // namespace cloze
