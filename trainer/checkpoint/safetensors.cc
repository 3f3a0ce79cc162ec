#include "trainer/checkpoint/safetensors.h"

#include <cstring>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr std::int64_t kLengthBytes = sizeof(std::uint64_t);
// The device works while the next bytes are digested and copied.
constexpr std::int64_t kSyncBytes = std::int64_t{4} << 20;

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const std::vector<SafetensorsTensor>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(File::create(path)) {
  const std::string header = make_safetensors_header(tensors, metadata);
  header_size_ = static_cast<std::int64_t>(header.size());
  size_ = header_size_;
  for (const SafetensorsTensor& tensor : tensors) {
    size_ += num_elements(tensor.shape) * size_of(tensor.dtype);
  }
  header_digest_ = digest_of(header);
  write(std::as_bytes(std::span<const char>(header)));
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  CLOZE_CHECK(static_cast<std::int64_t>(bytes.size()) <= size_ - written_,
              str(file_.path().string(), ": more data than its tensors hold"),
              "write the tensors that the header names");
  digester_.update(bytes);
  file_.write(bytes);
  written_ += static_cast<std::int64_t>(bytes.size());
  if (written_ - syncing_ < kSyncBytes) return;
  file_.start_sync(syncing_, written_ - syncing_);
  syncing_ = written_;
}

void SafetensorsWriter::finish() {
  CLOZE_CHECK(written_ == size_,
              str(file_.path().string(), ": ", size_ - written_, " bytes of data are missing"),
              "write all the tensors that the header names");
  file_.sync();
  file_.close();
}

SafetensorsReader SafetensorsReader::open(const std::filesystem::path& path, bool follow_links) {
  File file = File::open_for_reading(path, follow_links);
  const std::int64_t size = file.size();
  const auto refuse = [&](const std::string& why) {
    fail(ExitCode::kBadInput, str(path.string(), " is no safetensors file: ", why),
         "the file is damaged or of another kind: copy or make it again");
  };
  if (size < kLengthBytes) refuse(str("it has ", size, " bytes"));
  std::uint64_t length = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  // Compared as unsigned numbers, and before any memory is taken.
  if (length > static_cast<std::uint64_t>(size - kLengthBytes)) {
    refuse(str("its header claims ", length, " bytes of the file's ", size));
  }
  if (length > static_cast<std::uint64_t>(kMaxSafetensorsHeader)) {
    refuse(str("its header of ", length, " bytes is larger than the ", kMaxSafetensorsHeader,
               " allowed"));
  }
  std::string json(length, '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span<char>(json)));
  SafetensorsHeader header = parse_safetensors_header(
      json, size - kLengthBytes - static_cast<std::int64_t>(length), path.string());
  return {std::move(file), std::move(header)};
}

void SafetensorsReader::read(const SafetensorsEntry& entry, std::int64_t first,
                             std::span<std::byte> out) const {
  CLOZE_CHECK(first >= 0 && first <= entry.bytes() &&
                  static_cast<std::int64_t>(out.size()) <= entry.bytes() - first,
              str("bytes ", first, " + ", out.size(), " are not in tensor ", entry.name),
              "read inside the tensor");
  file_.read_at(entry.begin + first, out);
}

}  // namespace cloze
