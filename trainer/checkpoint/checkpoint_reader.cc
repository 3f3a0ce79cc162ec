#include "trainer/checkpoint/checkpoint_reader.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/box_copy.h"
#include "trainer/checkpoint/convert.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

constexpr std::string_view kDamaged = "use another checkpoint, or copy this one again";
constexpr std::int64_t kContentBlock = 32 << 20;  // Bytes of a tensor in memory at a time.

// What is wrong with a file of the folder; nothing when its kind, size and header are right.
std::string file_problem(const std::filesystem::path& path, const checkpoint::File& expected) {
  try {
    const File file = File::open_for_reading(path, /*follow_links=*/false);
    if (file.size() != expected.size()) {
      return str(path.string(), " has ", file.size(), " bytes, its manifest says ",
                 expected.size());
    }
    std::string header(static_cast<std::size_t>(expected.header_size()), '\0');
    file.read_at(0, std::as_writable_bytes(std::span<char>(header)));
    if (digest_of(header).view() != expected.header_digest()) {
      return str(path.string(), " is damaged: its header does not match its digest");
    }
  } catch (const Error& error) {
    if (error.code() != ExitCode::kBadInput) throw;
    return error.problem();
  }
  return {};
}

std::string read_manifest(const std::filesystem::path& path) {
  const File file = File::open_for_reading(path, /*follow_links=*/false);
  const std::int64_t size = file.size();
  CLOZE_REQUIRE(
      size <= kMaxManifestBytes, ExitCode::kBadInput,
      str(path.string(), " has ", size, " bytes, more than the ", kMaxManifestBytes, " allowed"),
      std::string(kDamaged));
  std::string bytes(static_cast<std::size_t>(size), '\0');
  file.read_at(0, std::as_writable_bytes(std::span<char>(bytes)));
  return bytes;
}

DType dtype_of(const checkpoint::Tensor& tensor) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16, DType::kI64,
                            DType::kI32, DType::kU8}) {
    if (name_of(dtype) == tensor.dtype()) return dtype;
  }
  fail_check(__FILE__, __LINE__, "a checked manifest has an unknown element type", "report this");
}

}  // namespace

Checkpoint::Checkpoint(std::filesystem::path folder, FileLock lock, checkpoint::Manifest manifest)
    : folder_(std::move(folder)),
      lock_(std::move(lock)),
      manifest_(std::make_unique<const checkpoint::Manifest>(std::move(manifest))),
      chunks_(std::make_unique<ChunkReader>(folder_, *manifest_)) {
  for (int place = 0; place < manifest_->tensors_size(); ++place) {
    index_.emplace(manifest_->tensors(place).name(), place);
  }
}

Checkpoint Checkpoint::open(const std::filesystem::path& step_folder) {
  const std::filesystem::path path = step_folder / kManifestName;
  std::optional<FileLock> lock = FileLock::try_lock(path, FileLock::Kind::kShared);
  CLOZE_REQUIRE(lock.has_value(), ExitCode::kBadInput,
                str(step_folder.string(), " is being removed"), "use a newer checkpoint");
  Checkpoint opened(step_folder, std::move(*lock),
                    parse_manifest(read_manifest(path), path.string()));
  const std::string name = step_folder.filename().empty()
                               ? step_folder.parent_path().filename().string()
                               : step_folder.filename().string();
  const std::optional<std::int64_t> step = step_of_folder(name);
  CLOZE_REQUIRE(!step || *step == opened.state().step(), ExitCode::kBadInput,
                str(path.string(), " is of step ", opened.state().step(), ", not of its folder's"),
                std::string(kDamaged));

  std::string problems;
  std::vector<std::string> expected = {std::string(kManifestName)};
  for (const checkpoint::File& file : opened.manifest_->files()) {
    expected.push_back(file.name());
    const std::string problem = file_problem(step_folder / file.name(), file);
    // Each is named, but for a folder where everything is wrong.
    if (!problem.empty() && problems.size() < 2000) {
      problems += (problems.empty() ? "" : "; ") + problem;
    }
  }
  CLOZE_REQUIRE(problems.empty(), ExitCode::kBadInput, problems, std::string(kDamaged));
  std::sort(expected.begin(), expected.end());
  std::error_code error;
  for (const auto& found : std::filesystem::directory_iterator(step_folder, error)) {
    const std::string found_name = found.path().filename().string();
    if (std::binary_search(expected.begin(), expected.end(), found_name)) continue;
    opened.warnings_.push_back(
        str(found.path().string(), " is no part of the checkpoint and is ignored"));
  }
  return opened;
}

Digest Checkpoint::digest() const {
  Digest digest;
  std::copy_n(manifest_->digest().begin(), Digest::kBytes, digest.bytes.begin());
  return digest;
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const checkpoint::Tensor& tensor : manifest_->tensors()) names.push_back(tensor.name());
  std::sort(names.begin(), names.end());
  return names;
}

bool Checkpoint::has(std::string_view name) const { return index_.contains(name); }

const checkpoint::Tensor& Checkpoint::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  CLOZE_REQUIRE(found != index_.end(), ExitCode::kBadInput,
                str(folder_.string(), " has no tensor ", name),
                "use a checkpoint of the same model, or change the config's model section");
  return manifest_->tensors(found->second);
}

Shape Checkpoint::shape(std::string_view name) const {
  const checkpoint::Tensor& found = tensor(name);
  return {found.shape().begin(), found.shape().end()};
}

DType Checkpoint::dtype(std::string_view name) const { return dtype_of(tensor(name)); }

void Checkpoint::read(const std::string& name, const Box& box, DType dtype, void* out) const {
  const checkpoint::Tensor& source = tensor(name);
  const DType stored = dtype_of(source);
  const Shape global(source.shape().begin(), source.shape().end());
  CLOZE_REQUIRE(box.global == global, ExitCode::kBadInput,
                str("tensor ", name, " of ", folder_.string(), " has shape ", shape_text(global),
                    ", the model wants ", shape_text(box.global)),
                "use a checkpoint of the same model, or change the config's model section");
  CLOZE_REQUIRE(stored == dtype || (is_floating(stored) && is_floating(dtype)), ExitCode::kBadInput,
                str("tensor ", name, " of ", folder_.string(), " is ", name_of(stored),
                    " and cannot be read as ", name_of(dtype)),
                "use a checkpoint of the same model");
  const std::int64_t count = box.elements();
  if (count == 0) return;
  std::vector<std::byte> buffer;
  auto* target = static_cast<std::byte*>(out);
  if (stored != dtype) {
    buffer.resize(static_cast<std::size_t>(count * size_of(stored)));
    target = buffer.data();
  }
  for (const checkpoint::Entry& entry : source.entries()) {
    for_each_common_run(box_of(source, entry), box, [&](const Run& run) {
      const std::int64_t width = size_of(stored);
      chunks_->read(source, entry, run.source * width,
                    {target + run.target * width, static_cast<std::size_t>(run.count * width)});
    });
  }
  if (stored != dtype) convert(target, stored, static_cast<std::byte*>(out), dtype, count);
}

void Checkpoint::verify(std::int64_t part, std::int64_t parts) const {
  struct Place {
    const checkpoint::Tensor* tensor;
    const checkpoint::Entry* entry;
  };
  std::vector<std::vector<Place>> places(static_cast<std::size_t>(manifest_->files_size()));
  for (const checkpoint::Tensor& tensor : manifest_->tensors()) {
    for (const checkpoint::Entry& entry : tensor.entries()) {
      places[entry.file()].push_back({&tensor, &entry});
    }
  }
  std::vector<std::byte> buffer;
  for (std::int64_t index = part; index < manifest_->files_size(); index += parts) {
    const checkpoint::File& home = manifest_->files(static_cast<int>(index));
    std::vector<Place>& entries = places[static_cast<std::size_t>(index)];
    std::sort(entries.begin(), entries.end(),
              [](const Place& a, const Place& b) { return a.entry->begin() < b.entry->begin(); });
    const std::string problem = file_problem(folder_ / home.name(), home);
    CLOZE_REQUIRE(problem.empty(), ExitCode::kBadInput, problem, std::string(kDamaged));
    const SafetensorsReader reader =
        SafetensorsReader::open(folder_ / home.name(), /*follow_links=*/false);
    const std::string& path = reader.path().string();
    CLOZE_REQUIRE(reader.tensors().size() == entries.size(), ExitCode::kBadInput,
                  str(path, " holds other tensors than its manifest says"), std::string(kDamaged));

    buffer.resize(static_cast<std::size_t>(home.header_size()));
    const File file = File::open_for_reading(folder_ / home.name(), /*follow_links=*/false);
    file.read_at(0, buffer);
    Digester digester;
    digester.update(buffer);
    for (std::size_t place = 0; place < entries.size(); ++place) {
      const auto& [tensor, entry] = entries[place];
      const SafetensorsEntry& found = reader.tensors()[place];
      CLOZE_REQUIRE(found.name == entry_name(tensor->name(), box_of(*tensor, *entry)) &&
                        found.begin == entry->begin() && found.end == entry->end() &&
                        found.dtype == dtype_of(*tensor),
                    ExitCode::kBadInput,
                    str(path, ": entry ", found.name, " is not what its manifest says"),
                    std::string(kDamaged));
      for (std::int64_t first = 0; first < found.bytes(); first += kDigestChunk) {
        buffer.resize(static_cast<std::size_t>(std::min(kDigestChunk, found.bytes() - first)));
        chunks_->read(*tensor, *entry, first, buffer);
        digester.update(buffer);
      }
    }
    CLOZE_REQUIRE(digester.finish().view() == home.digest(), ExitCode::kBadInput,
                  str(path, " is damaged: its bytes do not match its digest"),
                  std::string(kDamaged));
  }
}

Digest Checkpoint::content_digest(const std::string& name) const {
  const DType stored = dtype(name);
  const Box whole = Box::whole(shape(name));
  const std::int64_t rows = whole.global.empty() ? 1 : whole.global[0];
  const std::int64_t row_bytes = whole.elements() / rows * size_of(stored);
  const std::int64_t block = std::max<std::int64_t>(1, kContentBlock / row_bytes);
  std::vector<std::byte> buffer;
  Digester digester;
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    buffer.resize(static_cast<std::size_t>(count * row_bytes));
    read(name, whole.global.empty() ? whole : whole.rows(first, count), stored, buffer.data());
    digester.update(buffer);
  }
  return digester.finish();
}

}  // namespace cloze
