// What must hold in a manifest before anything of it is believed: names, numbers, byte ranges,
// and that the boxes cover each tensor exactly once.
#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/checkpoint/coverage.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  fail(ExitCode::kBadInput, str(file, ": ", why),
       "the checkpoint is damaged: use another one, or copy it again");
}

void check_files(const checkpoint::Manifest& manifest, const std::string& file) {
  if (manifest.files_size() == 0) refuse(file, "it names no files");
  for (int rank = 0; rank < manifest.files_size(); ++rank) {
    const checkpoint::File& entry = manifest.files(rank);
    // The name is made here and compared, so no name of a manifest ever reaches the file system.
    if (entry.rank() != rank || entry.name() != rank_file_name(rank)) {
      refuse(file, str("file ", rank, " is not ", rank_file_name(rank)));
    }
    if (entry.digest().size() != Digest::kBytes || entry.header_digest().size() != Digest::kBytes) {
      refuse(file, str(entry.name(), " has no digest"));
    }
    if (entry.header_size() < 8 || entry.header_size() > entry.size() ||
        entry.header_size() > kMaxSafetensorsHeader + 8) {
      refuse(file, str(entry.name(), " has a header of ", entry.header_size(), " bytes"));
    }
  }
}

DType checked_dtype(const checkpoint::Tensor& tensor, const std::string& file) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16, DType::kI64,
                            DType::kI32, DType::kU8}) {
    if (name_of(dtype) == tensor.dtype()) return dtype;
  }
  refuse(file, str("tensor ", tensor.name(), " has an unknown element type"));
}

// Bytes [begin, end) of a file that belong to an entry.
struct Extent {
  std::uint32_t file;
  std::int64_t begin;
  std::int64_t end;
  auto operator<=>(const Extent&) const = default;
};

void check_tensor(const checkpoint::Manifest& manifest, const checkpoint::Tensor& tensor,
                  const std::string& file, std::vector<Extent>& extents) {
  const DType dtype = checked_dtype(tensor, file);
  if (tensor.shape_size() > static_cast<int>(kMaxTensorDims)) {
    refuse(file, str("tensor ", tensor.name(), " has ", tensor.shape_size(), " dims"));
  }
  std::int64_t total = size_of(dtype);
  for (const std::int64_t size : tensor.shape()) {
    if (size < 1 || __builtin_mul_overflow(total, size, &total)) {
      refuse(file, str("tensor ", tensor.name(), " has an impossible shape"));
    }
  }
  std::vector<Box> boxes;
  boxes.reserve(static_cast<std::size_t>(tensor.entries_size()));
  for (const checkpoint::Entry& entry : tensor.entries()) boxes.push_back(box_of(tensor, entry));
  const std::string problem = coverage_problem(boxes);
  if (!problem.empty()) refuse(file, str("tensor ", tensor.name(), ": ", problem));
  for (int index = 0; index < tensor.entries_size(); ++index) {
    const checkpoint::Entry& entry = tensor.entries(index);
    // The boxes are known to lie inside the tensor, whose bytes fit: no product overflows.
    const std::int64_t bytes = boxes[static_cast<std::size_t>(index)].elements() * size_of(dtype);
    if (entry.file() >= static_cast<std::uint32_t>(manifest.files_size())) {
      refuse(file, str("tensor ", tensor.name(), " lies in a file that is not named"));
    }
    const checkpoint::File& home = manifest.files(static_cast<int>(entry.file()));
    if (entry.begin() < home.header_size() || entry.end() > home.size() ||
        entry.end() < entry.begin() || entry.end() - entry.begin() != bytes) {
      refuse(file, str("tensor ", tensor.name(), " has a wrong byte range in ", home.name()));
    }
    const std::int64_t chunks = (bytes + kDigestChunk - 1) / kDigestChunk;
    if (static_cast<std::int64_t>(entry.digests().size()) !=
        chunks * static_cast<std::int64_t>(Digest::kBytes)) {
      refuse(file, str("tensor ", tensor.name(), " lacks digests of its chunks in ", home.name()));
    }
    extents.push_back({entry.file(), entry.begin(), entry.end()});
  }
}

// The entries of each file fill it from its header to its end: no byte is without a digest.
void check_extents(const checkpoint::Manifest& manifest, std::vector<Extent> extents,
                   const std::string& file) {
  std::sort(extents.begin(), extents.end());
  std::size_t next = 0;
  for (int index = 0; index < manifest.files_size(); ++index) {
    const checkpoint::File& home = manifest.files(index);
    std::int64_t covered = home.header_size();
    for (; next < extents.size() && extents[next].file == static_cast<std::uint32_t>(index);
         ++next) {
      if (extents[next].begin != covered) {
        refuse(file,
               str("its entries leave a gap or overlap in ", home.name(), " at byte ", covered));
      }
      covered = extents[next].end;
    }
    if (covered != home.size()) {
      refuse(file, str("its entries end at byte ", covered, " of ", home.name(), ", which has ",
                       home.size()));
    }
  }
}

}  // namespace

void check_manifest(const checkpoint::Manifest& manifest, const std::string& file) {
  if (manifest.state().step() < 0) refuse(file, "its step is negative");
  check_files(manifest, file);
  std::unordered_set<std::string_view> names;
  std::vector<Extent> extents;
  for (const checkpoint::Tensor& tensor : manifest.tensors()) {
    if (!is_tensor_name(tensor.name())) refuse(file, "a tensor's name is not allowed");
    if (!names.insert(tensor.name()).second) {
      refuse(file, str("tensor ", tensor.name(), " occurs twice"));
    }
    check_tensor(manifest, tensor, file, extents);
  }
  check_extents(manifest, std::move(extents), file);
}

}  // namespace cloze
