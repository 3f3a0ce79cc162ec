#include "trainer/checkpoint/manifest.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/common.h>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>

#include "parallel/base/check.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

constexpr std::string_view kFolderPrefix = "step-";
constexpr std::size_t kFolderDigits = 8;
// Tag (field 15, bytes) and length of the digest, the last field of a manifest.
constexpr std::string_view kDigestField("\x7a\x10", 2);
constexpr std::size_t kTrailerBytes = kDigestField.size() + Digest::kBytes;
constexpr int kMaxNesting = 16;

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  fail(ExitCode::kBadInput, str(file, ": ", why),
       "the checkpoint is damaged: use another one, or copy it again");
}

// Nothing of a manifest may go unseen: a field that this program does not know could change what
// the rest means.
bool has_unknown_fields(const google::protobuf::Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) return true;
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->is_map()) continue;
    if (!field->is_repeated()) {
      if (has_unknown_fields(reflection.GetMessage(message, field))) return true;
      continue;
    }
    for (int index = 0; index < reflection.FieldSize(message, field); ++index) {
      if (has_unknown_fields(reflection.GetRepeatedMessage(message, field, index))) return true;
    }
  }
  return false;
}

}  // namespace

std::string step_folder_name(std::int64_t step) {
  std::string digits = std::to_string(step);
  if (digits.size() < kFolderDigits) digits.insert(0, kFolderDigits - digits.size(), '0');
  return std::string(kFolderPrefix) + digits;
}

std::optional<std::int64_t> step_of_folder(std::string_view name) {
  if (!name.starts_with(kFolderPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kFolderPrefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0) return std::nullopt;
  // Only the one spelling that we write, so that no two folders hold the same step.
  if (step_folder_name(step) != name) return std::nullopt;
  return step;
}

std::string rank_file_name(int rank) {
  std::string digits = std::to_string(rank);
  if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
  return str("rank-", digits, ".safetensors");
}

std::string entry_name(const std::string& tensor, const Box& box) {
  if (box.is_whole()) return tensor;
  std::string name = tensor;
  for (std::size_t dim = 0; dim < box.offset.size(); ++dim) {
    name += (dim == 0 ? '@' : ',') + std::to_string(box.offset[dim]);
  }
  return name;
}

bool is_tensor_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxTensorName) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

std::uint64_t chunk_seed(std::string_view run_id, std::int64_t step, int rank,
                         std::string_view file) {
  return seed_of(str(run_id, "\n", step, "\n", rank, "\n", file));
}

Box box_of(const checkpoint::Tensor& tensor, const checkpoint::Entry& entry) {
  return {Shape(tensor.shape().begin(), tensor.shape().end()),
          Shape(entry.offset().begin(), entry.offset().end()),
          Shape(entry.shape().begin(), entry.shape().end())};
}

std::string serialize_manifest(const checkpoint::Manifest& manifest) {
  checkpoint::Manifest body = manifest;
  body.clear_digest();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // Maps in key order.
    CLOZE_CHECK(body.SerializeToCodedStream(&coded), "the manifest cannot be serialized",
                "report this");
  }
  const Digest digest = digest_of(bytes);
  bytes += kDigestField;
  bytes += digest.view();
  CLOZE_REQUIRE(static_cast<std::int64_t>(bytes.size()) <= kMaxManifestBytes,
                ExitCode::kCannotWrite,
                str("the checkpoint's manifest would have ", bytes.size(), " bytes, more than the ",
                    kMaxManifestBytes, " that can be read back"),
                "train on fewer ranks, or with parallel.zero_stage 0");
  return bytes;
}

checkpoint::Manifest parse_manifest(std::string_view bytes, const std::string& file) {
  if (static_cast<std::int64_t>(bytes.size()) > kMaxManifestBytes) {
    refuse(file,
           str("it has ", bytes.size(), " bytes, more than the ", kMaxManifestBytes, " allowed"));
  }
  if (bytes.size() < kTrailerBytes) {
    refuse(file, str("it is truncated: it has ", bytes.size(), " bytes"));
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kTrailerBytes);
  const std::string_view trailer = bytes.substr(body.size());
  if (!trailer.starts_with(kDigestField) ||
      trailer.substr(kDigestField.size()) != digest_of(body).view()) {
    refuse(file, "its digest does not match its bytes");
  }
#if GOOGLE_PROTOBUF_VERSION < 4022000
  // This version prints what it finds wrong; the error below is the one line for it.
  const google::protobuf::LogSilencer silencer;
#endif
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(kMaxNesting);
  checkpoint::Manifest manifest;
  if (!manifest.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) {
    refuse(file, "it is no manifest");
  }
  if (manifest.format_version() != kCheckpointFormat) {
    fail(ExitCode::kBadInput,
         str(file, " has format ", manifest.format_version(), ", this program reads format ",
             kCheckpointFormat),
         "read it with the version of cloze that wrote it");
  }
  if (has_unknown_fields(manifest)) {
    fail(ExitCode::kBadInput, str(file, " has fields that this program does not know"),
         "read it with the version of cloze that wrote it");
  }
  check_manifest(manifest, file);
  return manifest;
}

}  // namespace cloze
