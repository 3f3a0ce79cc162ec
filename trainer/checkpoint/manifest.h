// The manifest of a checkpoint: its names, limits and checks, and how it becomes bytes and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "parallel/base/dtype.h"
#include "parallel/mesh/shard.h"
#include "trainer/checkpoint/digest.h"
#include "trainer/checkpoint/manifest.pb.h"

namespace cloze {

using CheckpointState = checkpoint::State;

inline constexpr std::uint32_t kCheckpointFormat = 1;
inline constexpr std::int64_t kMaxManifestBytes = 64 << 20;
inline constexpr std::int64_t kDigestChunk = 4 << 20;  // Bytes of a tensor under one digest.
inline constexpr std::string_view kManifestName = "manifest.binpb";
inline constexpr std::string_view kLatestName = "latest";

// A parameter's state lies under its own name; its moments under these prefixes.
inline constexpr std::string_view kFirstMoment = "optimizer.exp_avg.";
inline constexpr std::string_view kSecondMoment = "optimizer.exp_avg_sq.";

std::string step_folder_name(std::int64_t step);                    // step-00000100
std::optional<std::int64_t> step_of_folder(std::string_view name);  // The inverse.
std::string rank_file_name(int rank);                               // rank-00000.safetensors
// The name of a box in its file: the tensor's when whole, else TENSOR@offset,offset.
std::string entry_name(const std::string& tensor, const Box& box);
// Letters, digits, '.', '_' and '-', at most kMaxTensorName bytes.
bool is_tensor_name(std::string_view name);

// Seed of the chunk digests of a file: bytes of another run, step, rank or file never pass.
std::uint64_t chunk_seed(std::string_view run_id, std::int64_t step, int rank,
                         std::string_view file);

Box box_of(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry);

// Deterministic bytes that end with their own digest.
std::string serialize_manifest(const checkpoint::Manifest& manifest);
// Checks the digest, the format, every field, and that the boxes cover each tensor exactly once.
// Anything that does not hold is kBadInput and names `file`.
checkpoint::Manifest parse_manifest(std::string_view bytes, const std::string& file);
// The same checks of a manifest that is about to be written; `file` is for the message.
void check_manifest(const checkpoint::Manifest& manifest, const std::string& file);

}  // namespace cloze
