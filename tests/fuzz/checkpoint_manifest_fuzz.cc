// The manifest of a checkpoint. Each input is read twice: as it is, and as the bytes before the
// digest, which gets the digest that fits, so that mutation reaches what stands behind it. Half of
// the mutations change a field of the message instead of a byte. A manifest is refused with exit
// code 65, or it is the same when written and read again, and every byte of every file that it
// names belongs to one entry.
#include <vector>

#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/message_mutation.h"
#include "trainer/checkpoint/manifest.h"

namespace cloze::fuzz {
namespace {

// Tag and length of the digest, then the digest of all that is before.
std::string sealed(std::string_view body) {
  return std::string(body) + "\x7a\x10" + std::string(digest_of(body).view());
}

void check_manifest_of(const checkpoint::Manifest& manifest) {
  const std::string bytes = serialize_manifest(manifest);
  const checkpoint::Manifest again = parse_manifest(bytes, "again");
  require(serialize_manifest(again) == bytes, "what is read is the same when written again");
  std::vector<std::int64_t> covered;
  for (int rank = 0; rank < manifest.files_size(); ++rank) {
    require(manifest.files(rank).name() == rank_file_name(rank), "files are those of the ranks");
    covered.push_back(manifest.files(rank).header_size());
  }
  for (const checkpoint::Tensor& tensor : manifest.tensors()) {
    require(is_tensor_name(tensor.name()), "tensors have plain names");
    std::int64_t elements = 0;
    for (const checkpoint::Entry& entry : tensor.entries()) {
      elements += box_of(tensor, entry).elements();
      covered.at(entry.file()) += entry.end() - entry.begin();
    }
    require(elements == num_elements({tensor.shape().begin(), tensor.shape().end()}),
            "boxes hold each element once");
  }
  for (int rank = 0; rank < manifest.files_size(); ++rank) {
    require(covered[static_cast<std::size_t>(rank)] == manifest.files(rank).size(),
            "entries fill the files");
  }
  require(step_of_folder(step_folder_name(manifest.state().step())) == manifest.state().step(),
          "its step names a folder");
}

void run(std::string_view input) {
#if GOOGLE_PROTOBUF_VERSION < 4022000
  const google::protobuf::LogSilencer silencer;  // Of texts that are no UTF-8.
#endif
  for (const std::string& bytes : {std::string(input), sealed(input)}) {
    const auto manifest =
        parsed(ExitCode::kBadInput, [&] { return parse_manifest(bytes, "fuzzed"); });
    if (manifest) check_manifest_of(*manifest);
  }
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned int seed) {
  return cloze::fuzz::mutate_message<cloze::checkpoint::Manifest>(data, size, max_size, seed);
}
