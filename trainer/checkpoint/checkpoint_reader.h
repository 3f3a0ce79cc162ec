// Reads a checkpoint: any box of any tensor, whatever boxes it was saved in. No byte is used
// before its digest was compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "parallel/base/dtype.h"
#include "parallel/mesh/shard.h"
#include "trainer/checkpoint/chunk_reader.h"
#include "trainer/checkpoint/directory_lock.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/weight_source.h"

namespace cloze {

// Not for several threads at once; each opens its own. While it lives, retain() spares the folder.
class Checkpoint : public WeightSource {
 public:
  // Checks the manifest's digest, the coverage of every tensor, and of every file the presence,
  // kind, size and header. Any damage is kBadInput and names the file.
  static Checkpoint open(const std::filesystem::path& step_folder);

  const std::filesystem::path& folder() const { return folder_; }
  const checkpoint::Manifest& manifest() const { return *manifest_; }
  const CheckpointState& state() const { return manifest_->state(); }
  Digest digest() const;  // The manifest's own: names this checkpoint in a lineage.
  const std::vector<std::string>& warnings() const { return warnings_; }  // Files not ours.

  std::vector<std::string> names() const;  // Sorted.
  bool has(std::string_view name) const override;
  Shape shape(std::string_view name) const override;
  DType dtype(std::string_view name) const override;

  // Compares the digests of every chunk it touches.
  void read(const std::string& name, const Box& box, DType dtype, void* out) const override;

  // Reads everything: whole-file digests, every chunk, headers against the manifest. The files
  // index % parts == part only, so that ranks can share the work.
  void verify(std::int64_t part = 0, std::int64_t parts = 1) const;

  // Digest of the tensor's elements in row-major order: the same whatever the boxes.
  Digest content_digest(const std::string& name) const;

 private:
  Checkpoint(std::filesystem::path folder, FileLock lock, checkpoint::Manifest manifest);
  const checkpoint::Tensor& tensor(std::string_view name) const;

  std::filesystem::path folder_;
  FileLock lock_;  // Shared, on the manifest.
  std::unique_ptr<const checkpoint::Manifest> manifest_;
  std::unordered_map<std::string_view, int> index_;  // Name to place in manifest_->tensors().
  std::unique_ptr<ChunkReader> chunks_;
  std::vector<std::string> warnings_;
};

}  // namespace cloze
