// Saves a checkpoint in two phases: every rank writes its file, then rank 0 commits all of them
// by one rename. A crash at any point leaves the old checkpoint or the new one, never half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "parallel/base/dtype.h"
#include "parallel/mesh/shard.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze {

// One box of a tensor, contiguous, row-major: in memory, or made as it is written. An empty box is
// left out of the file.
struct Piece {
  std::string name;
  DType dtype = DType::kF32;
  Box box;
  const void* data = nullptr;
  // Gives the bytes from `first` on, when `data` is null; called for each chunk, in order.
  std::function<void(std::int64_t first, std::span<std::byte> out)> fill = nullptr;
};

// One save. The caller separates the phases:
//   rank 0: create_folder();                      all wait
//   all:    record = write_rank_file(...);        records are gathered on rank 0
//   rank 0: commit(records, state);               or abandon(), when any rank failed
class CheckpointSave {
 public:
  // `directory` is RUN/checkpoints. `token` (letters, digits, '-') names the temporary folder:
  // the same on all ranks, another one for each save.
  CheckpointSave(std::filesystem::path directory, std::int64_t step, std::string run_id,
                 std::string token);

  void create_folder();

  // Writes and fsyncs this rank's file, even when it has no pieces. Data is digested in the
  // buffer, before the write. Returns the record for commit(), a serialized RankRecord.
  // No space, quota or a device's error is kIo; the temporary folder is then abandon()'s.
  std::string write_rank_file(int rank, const std::vector<Piece>& pieces) const;

  // Proves that the records cover every element of every tensor exactly once, then makes the
  // checkpoint durable and visible. A good checkpoint of that step is never replaced: the same
  // tensors leave it as it is, others are kCannotWrite; a damaged one makes way.
  // `state`'s step and run id are set here. The three calls below in order.
  void commit(const std::vector<std::string>& records, const CheckpointState& state);
  void write_manifest(const std::vector<std::string>& records, const CheckpointState& state);
  void publish();       // The rename: from here on the checkpoint exists.
  void point_latest();  // Replaces `latest`.

  // Removes the temporary folder.
  void abandon() noexcept;

  const std::filesystem::path& temporary_folder() const { return temporary_; }
  std::filesystem::path folder() const { return directory_ / step_folder_name(step_); }

 private:
  std::filesystem::path directory_;
  std::int64_t step_;
  std::string run_id_;
  std::string token_;
  std::filesystem::path temporary_;
};

// Removes old checkpoints: what is older than the newest `keep` good ones and no multiple of
// `keep_every` (0: none). keep 0 keeps all. Removes also what saves and removals that died left
// behind. Skips a checkpoint that somebody reads. To be called after a commit, by rank 0.
// Returns one line for each thing removed or skipped.
std::vector<std::string> retain(const std::filesystem::path& directory, std::int64_t keep,
                                std::int64_t keep_every);

}  // namespace cloze
