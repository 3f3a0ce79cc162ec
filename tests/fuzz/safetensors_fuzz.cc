// Safetensors files. Each input is read twice: as a whole file, length field and all, and as the
// JSON of a header, which gets the length and the amount of data that it claims, so that neither
// stops the search. A file is refused with exit code 65, or its tensors tile its data and the
// header that we would write for them reads back to the same.
#include <algorithm>
#include <limits>
#include <vector>

#include "tests/fuzz/fuzzing.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze::fuzz {
namespace {

// The largest number that stands behind a "data_offsets": where the data must end.
std::int64_t claimed_bytes(std::string_view json) {
  constexpr std::string_view kKey = "\"data_offsets\":[";
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 10 - 10;
  std::int64_t largest = 0;
  for (std::size_t at = json.find(kKey); at != std::string_view::npos; at = json.find(kKey, at)) {
    at += kKey.size();
    std::int64_t number = 0;
    for (; at < json.size() && json[at] != ']'; ++at) {
      if (json[at] == ',') number = 0;
      if (json[at] >= '0' && json[at] <= '9' && number < kMost) {
        number = number * 10 + (json[at] - '0');
      }
    }
    largest = std::max(largest, number);
  }
  return largest;
}

void check_header(const SafetensorsHeader& header, std::int64_t data_bytes) {
  std::int64_t end = header.data_begin;
  std::vector<SafetensorsTensor> tensors;
  for (const SafetensorsEntry& entry : header.tensors) {
    require(entry.begin == end && entry.bytes() >= 0, "tensors follow each other");
    require(entry.bytes() == num_elements(entry.shape) * size_of(entry.dtype),
            "a tensor has the bytes of its shape");
    require(header.find(entry.name) == &entry, "a tensor is found by its name");
    end = entry.end;
    tensors.push_back({entry.name, entry.dtype, entry.shape});
  }
  require(end == header.data_begin + data_bytes, "tensors fill the data");

  const std::string bytes = make_safetensors_header(tensors, header.metadata);
  const auto begin = static_cast<std::int64_t>(bytes.size());
  require(begin % 8 == 0, "our headers end on 8 bytes");
  const SafetensorsHeader again =
      parse_safetensors_header(std::string_view(bytes).substr(8), data_bytes, "again");
  require(again.metadata == header.metadata && again.tensors.size() == header.tensors.size(),
          "what we write reads back");
  for (std::size_t i = 0; i < again.tensors.size(); ++i) {
    SafetensorsEntry moved = header.tensors[i];
    moved.begin += begin - header.data_begin;
    moved.end += begin - header.data_begin;
    require(again.tensors[i] == moved, "a tensor reads back");
  }
}

void read_file_of(std::string_view bytes) {
  static const ScratchFolder scratch;
  const std::filesystem::path path = scratch.write("a.safetensors", bytes);
  const auto reader = parsed(ExitCode::kBadInput, [&] { return SafetensorsReader::open(path); });
  if (!reader) return;
  check_header(reader->header(),
               static_cast<std::int64_t>(bytes.size()) - reader->header().data_begin);
  for (const SafetensorsEntry& entry : reader->tensors()) {
    std::string content(static_cast<std::size_t>(entry.bytes()), '\0');
    reader->read(entry, 0, std::as_writable_bytes(std::span<char>(content)));
    require(content == bytes.substr(static_cast<std::size_t>(entry.begin), content.size()),
            "a tensor's bytes are those of the file");
  }
}

void run(std::string_view input) {
  read_file_of(input);
  const std::int64_t data_bytes = claimed_bytes(input);
  const auto header = parsed(ExitCode::kBadInput,
                             [&] { return parse_safetensors_header(input, data_bytes, "fuzzed"); });
  if (header) check_header(*header, data_bytes);
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
