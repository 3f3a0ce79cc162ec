#include "trainer/checkpoint/checkpoint_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <span>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= 64 && is_tensor_name(text) &&
         text.find_first_of("._") == std::string_view::npos;
}

// Says so before hours of training wait for a write that must fail.
void require_space(const std::filesystem::path& folder, std::int64_t needed) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) return;  // The write itself will tell.
  CLOZE_REQUIRE(space.available >= static_cast<std::uintmax_t>(needed), ExitCode::kIo,
                str("no space for the checkpoint in ", folder.string(), ": this rank's file needs ",
                    needed, " bytes, ", space.available, " are free"),
                "free space on the device, or set checkpoint.directory to another one");
}

// Writes a piece and adds its chunks' digests to `entry`.
void write_piece(SafetensorsWriter& writer, const Piece& piece, std::uint64_t seed,
                 checkpoint::Entry& entry) {
  const auto bytes = static_cast<std::size_t>(piece.box.elements() * size_of(piece.dtype));
  const auto* const data = static_cast<const std::byte*>(piece.data);
  std::vector<std::byte> made;  // A chunk of a piece that is not in memory.
  std::string& digests = *entry.mutable_digests();
  for (std::size_t first = 0; first < bytes; first += kDigestChunk) {
    const auto size = std::min<std::size_t>(kDigestChunk, bytes - first);
    if (data == nullptr) {
      made.resize(size);
      piece.fill(static_cast<std::int64_t>(first), made);
    }
    const std::span<const std::byte> chunk(data == nullptr ? made.data() : data + first, size);
    digests += digest_of(chunk, seed).view();
    writer.write(chunk);
  }
}

checkpoint::Tensor describe(const Piece& piece) {
  checkpoint::Tensor tensor;
  tensor.set_name(piece.name);
  tensor.set_dtype(std::string(name_of(piece.dtype)));
  tensor.mutable_shape()->Add(piece.box.global.begin(), piece.box.global.end());
  checkpoint::Entry& entry = *tensor.add_entries();
  entry.mutable_offset()->Add(piece.box.offset.begin(), piece.box.offset.end());
  entry.mutable_shape()->Add(piece.box.shape.begin(), piece.box.shape.end());
  return tensor;
}

void rename_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
  CLOZE_REQUIRE(
      std::rename(from.c_str(), to.c_str()) == 0, ExitCode::kCannotWrite,
      str("cannot rename ", from.string(), " to ", to.string(), ": ", std::strerror(errno)),
      "check the permissions of the folder");
}

// True when the folder holds a good checkpoint with the very tensors of `manifest`. A good one
// with others is an error; false: it is damaged.
bool holds_the_same(const std::filesystem::path& folder, const checkpoint::Manifest& manifest) {
  std::string existing;
  try {
    const Checkpoint opened = Checkpoint::open(folder);
    opened.verify();
    checkpoint::Manifest tensors;
    *tensors.mutable_tensors() = opened.manifest().tensors();
    existing = tensors.SerializeAsString();
  } catch (const Error&) {
    return false;
  }
  checkpoint::Manifest tensors;
  *tensors.mutable_tensors() = manifest.tensors();
  CLOZE_REQUIRE(tensors.SerializeAsString() == existing, ExitCode::kCannotWrite,
                str(folder.string(), " exists already and holds another checkpoint"),
                "move it away, or give this run another run.directory");
  return true;
}

}  // namespace

CheckpointSave::CheckpointSave(std::filesystem::path directory, std::int64_t step,
                               std::string run_id, std::string token)
    : directory_(std::move(directory)),
      step_(step),
      run_id_(std::move(run_id)),
      token_(std::move(token)),
      temporary_(directory_ / str(".tmp-", step_folder_name(step), "-", token_)) {
  CLOZE_CHECK(step >= 0 && is_token(token_), str("save of step ", step, ", token ", token_),
              "a token has letters, digits and '-'");
}

void CheckpointSave::create_folder() {
  make_directories(directory_);
  std::error_code error;
  const bool made = std::filesystem::create_directory(temporary_, error);
  CLOZE_REQUIRE(made && !error, ExitCode::kCannotWrite,
                str("cannot create the folder ", temporary_.string(), ": ",
                    error ? error.message() : "it exists"),
                "check the permissions of the folder above it");
}

std::string CheckpointSave::write_rank_file(int rank, const std::vector<Piece>& pieces) const {
  std::vector<const Piece*> order;
  std::int64_t bytes = 0;
  for (const Piece& piece : pieces) {
    CLOZE_CHECK(is_tensor_name(piece.name), str("tensor name ", piece.name, " is not allowed"),
                "name it with letters, digits, '.', '_' and '-'");
    if (piece.box.elements() == 0) continue;
    order.push_back(&piece);
    bytes += piece.box.elements() * size_of(piece.dtype);
  }
  // Wide elements first: then every entry is aligned, though the format has no padding.
  std::stable_sort(order.begin(), order.end(), [](const Piece* a, const Piece* b) {
    return size_of(a->dtype) > size_of(b->dtype);
  });
  require_space(temporary_, bytes + bytes / 10);

  std::vector<SafetensorsTensor> tensors;
  for (const Piece* piece : order) {
    tensors.push_back({entry_name(piece->name, piece->box), piece->dtype, piece->box.shape});
  }
  const std::string name = rank_file_name(rank);
  const std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                       {"file", name},
                                                       {"rank", std::to_string(rank)},
                                                       {"run_id", run_id_},
                                                       {"step", std::to_string(step_)}};
  SafetensorsWriter writer(temporary_ / name, tensors, metadata);
  const std::uint64_t seed = chunk_seed(run_id_, step_, rank, name);
  checkpoint::RankRecord record;
  std::int64_t offset = writer.header_size();
  for (const Piece* piece : order) {
    checkpoint::Tensor& tensor = *record.add_tensors() = describe(*piece);
    checkpoint::Entry& entry = *tensor.mutable_entries(0);
    write_piece(writer, *piece, seed, entry);
    entry.set_begin(offset);
    offset += piece->box.elements() * size_of(piece->dtype);
    entry.set_end(offset);
  }
  writer.finish();
  checkpoint::File& file = *record.mutable_file();
  file.set_name(name);
  file.set_rank(rank);
  file.set_size(writer.size());
  file.set_digest(std::string(writer.digest().view()));
  file.set_header_size(writer.header_size());
  file.set_header_digest(std::string(writer.header_digest().view()));
  record.set_run_id(run_id_);
  record.set_step(step_);
  return record.SerializeAsString();
}

void CheckpointSave::commit(const std::vector<std::string>& records, const CheckpointState& state) {
  write_manifest(records, state);
  publish();
  point_latest();
}

void CheckpointSave::write_manifest(const std::vector<std::string>& records,
                                    const CheckpointState& state) {
  checkpoint::Manifest manifest;
  manifest.set_format_version(kCheckpointFormat);
  *manifest.mutable_state() = state;
  manifest.mutable_state()->set_step(step_);
  manifest.mutable_state()->set_run_id(run_id_);
  std::map<int, checkpoint::RankRecord> by_rank;
  for (const std::string& bytes : records) {
    checkpoint::RankRecord record;
    CLOZE_CHECK(
        record.ParseFromString(bytes) && record.step() == step_ && record.run_id() == run_id_,
        "a rank's record is of another save", "gather what write_rank_file() returned");
    const int rank = record.file().rank();
    CLOZE_CHECK(by_rank.emplace(rank, std::move(record)).second, str("two records of rank ", rank),
                "give one record a rank");
  }
  std::map<std::string, checkpoint::Tensor> tensors;
  for (auto& [rank, record] : by_rank) {
    // What rank 0 sees is what a later job will: the other nodes' files must be here too.
    const std::filesystem::path path = temporary_ / record.file().name();
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    CLOZE_REQUIRE(!error && static_cast<std::int64_t>(size) == record.file().size(),
                  ExitCode::kCannotWrite,
                  str(path.string(), ", written by rank ", rank, ", is not seen whole by rank 0"),
                  "set checkpoint.directory to a file system that all nodes share");
    for (checkpoint::Tensor& part : *record.mutable_tensors()) {
      part.mutable_entries(0)->set_file(static_cast<std::uint32_t>(manifest.files_size()));
      const auto [found, is_new] = tensors.try_emplace(part.name(), part);
      if (is_new) continue;
      checkpoint::Tensor& whole = found->second;
      CLOZE_CHECK(
          whole.dtype() == part.dtype() && std::equal(whole.shape().begin(), whole.shape().end(),
                                                      part.shape().begin(), part.shape().end()),
          str("ranks differ on the type or shape of tensor ", part.name()),
          "give all pieces of a tensor the same type and global shape");
      whole.add_entries()->Swap(part.mutable_entries(0));
    }
    *manifest.add_files() = record.file();
  }
  for (auto& [name, tensor] : tensors) *manifest.add_tensors() = std::move(tensor);
  const std::filesystem::path path = temporary_ / kManifestName;
  try {
    check_manifest(manifest, path.string());
  } catch (const Error& error) {
    fail_check(__FILE__, __LINE__, str("the pieces of the ranks do not add up: ", error.problem()),
               "give each element of each tensor to exactly one rank");
  }
  File file = File::create(path);
  file.write(serialize_manifest(manifest));
  file.sync();
  file.close();
  sync_directory(temporary_);
}

void CheckpointSave::publish() {
  if (std::filesystem::exists(folder())) {
    const std::filesystem::path path = temporary_ / kManifestName;
    const checkpoint::Manifest manifest =
        parse_manifest(read_file(path, kMaxManifestBytes), path.string());
    if (holds_the_same(folder(), manifest)) {
      abandon();
      return;
    }
    rename_folder(folder(), directory_ / str(".trash-", step_folder_name(step_), "-", token_));
  }
  rename_folder(temporary_, folder());
  sync_directory(directory_);
}

void CheckpointSave::point_latest() {
  write_file_atomically(directory_ / kLatestName, step_folder_name(step_) + "\n");
}

void CheckpointSave::abandon() noexcept {
  try {
    std::error_code error;
    std::filesystem::remove_all(temporary_, error);
  } catch (...) {
    return;  // No memory for a name: what stays is removed by a later retain().
  }
}

}  // namespace cloze
