#include "trainer/loop/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

// The polynomial 0x1edc6f41 (Castagnoli), bits reversed.
constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) * 0x82f63b78U);
    table[byte] = value;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kCrcTable = make_crc_table();

// A checksum is masked because checksums of data that holds checksums are weak.
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

template <typename Number>
void append_raw(std::string& bytes, Number number) {
  static_assert(std::endian::native == std::endian::little);
  std::array<char, sizeof(Number)> raw{};
  std::memcpy(raw.data(), &number, sizeof(Number));
  bytes.append(raw.data(), raw.size());
}

// Protocol-buffer fields, of the four kinds that an event needs. Numbers are those of
// tensorboard's event.proto and summary.proto.
enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

void append_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

void append_tag(std::string& bytes, std::uint32_t field, WireType type) {
  append_varint(bytes, field << 3 | type);
}

void append_text(std::string& bytes, std::uint32_t field, std::string_view text) {
  append_tag(bytes, field, kLength);
  append_varint(bytes, text.size());
  bytes += text;
}

std::string begin_event(std::int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  std::string event;
  append_tag(event, 1, kFixed64);  // wall_time, seconds.
  append_raw(event, now.count());
  append_tag(event, 2, kVarint);  // step.
  append_varint(event, static_cast<std::uint64_t>(step));
  return event;
}

std::string summary_of(std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    append_text(value, 1, scalar.tag);
    append_tag(value, 2, kFixed32);  // simple_value.
    append_raw(value, static_cast<float>(scalar.value));
    append_text(summary, 1, value);
  }
  return summary;
}

// A name that TensorBoard takes for an event file (it holds "tfevents") and sorts by time.
std::filesystem::path new_event_file(const std::filesystem::path& folder) {
  make_directories(folder);
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  std::string rest = std::to_string(nanoseconds % 1'000'000'000);
  rest.insert(0, 9 - rest.size(), '0');
  return folder /
         str("events.out.tfevents.", seconds, ".", host.data(), ".", ::getpid(), ".", rest);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : bytes) {
    crc = kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xffU] ^ (crc >> 8);
  }
  return ~crc;
}

std::string tensorboard_record(std::string_view event) {
  std::string record;
  append_raw(record, static_cast<std::uint64_t>(event.size()));
  append_raw(record, masked_crc(record));
  record += event;
  append_raw(record, masked_crc(event));
  return record;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, std::int64_t resume_step)
    : file_(new_event_file(folder)) {
  std::string version = begin_event(0);
  append_text(version, 3, "brain.Event:2");  // file_version.
  file_.append(tensorboard_record(version));
  if (resume_step == 0) return;
  // A session log of status START: what older files hold from this step on is dropped.
  std::string restart = begin_event(resume_step + 1);
  append_text(restart, 7, std::string_view("\x08\x01", 2));
  file_.append(tensorboard_record(restart));
}

void TensorBoardWriter::write(std::int64_t step, std::span<const Scalar> scalars) {
  std::string event = begin_event(step);
  append_text(event, 5, summary_of(scalars));  // summary.
  file_.append(tensorboard_record(event));
}

}  // namespace cloze
