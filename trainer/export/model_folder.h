// Reads a Hugging Face model folder: config.json and safetensors files, one or many with an
// index. Boxes of its tensors go by our names, whatever the files fuse. Nothing in the folder is
// trusted: every tensor's place, type and shape is checked before a byte of data is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/weight_source.h"
#include "trainer/export/folder_config.h"

namespace cloze {

class ModelFolder : public WeightSource {
 public:
  // A missing file, and a tensor that is missing, unknown, misshapen or of no floating type, are
  // kBadInput; all of them are named at once.
  static ModelFolder open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const FolderConfig& config() const { return config_; }
  // Our names, in the order of the model.
  const std::vector<std::string>& names() const { return names_; }

  // The narrowest type that holds every tensor without rounding.
  config::Precision::Compute compute() const;

  bool has(std::string_view name) const override;
  Shape shape(std::string_view name) const override;
  DType dtype(std::string_view name) const override;
  void read(const std::string& name, const Box& box, DType dtype, void* out) const override;

  // The stored bytes of one of our tensors from `first` on: they lie together in its file.
  void read_bytes(const std::string& name, std::int64_t first, std::span<std::byte> out) const;

 private:
  struct Place {
    std::size_t file = 0;  // Index into files_.
    SafetensorsEntry entry;
    std::int64_t first_row = 0;  // Of the entry.
    Shape shape;                 // Of our tensor.
  };

  ModelFolder(std::filesystem::path folder, FolderConfig config)
      : folder_(std::move(folder)), config_(std::move(config)) {}
  void open_files();
  void place_tensors();
  const Place& place(std::string_view name) const;

  std::filesystem::path folder_;
  FolderConfig config_;
  std::vector<SafetensorsReader> files_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<std::string> names_;
};

// Whether a path looks like such a folder: it has a config.json.
bool is_model_folder(const std::filesystem::path& path);

}  // namespace cloze
