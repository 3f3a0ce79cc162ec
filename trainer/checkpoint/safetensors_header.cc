// The JSON header of a safetensors file: made, and read from a file that nobody vouches for.
#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little endian");

constexpr std::string_view kMetadataKey = "__metadata__";

std::optional<DType> dtype_named(std::string_view name) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16, DType::kI64,
                            DType::kI32, DType::kU8}) {
    if (name_of(dtype) == name) return dtype;
  }
  return std::nullopt;
}

// Bytes of a tensor, or nothing when the product does not fit.
std::optional<std::int64_t> checked_bytes(const Shape& shape, DType dtype) {
  std::int64_t bytes = size_of(dtype);
  for (const std::int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

// Names reach messages and file names: no control characters, no way up or out of a folder.
bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxTensorName || name.front() == '/') return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\';
  });
}

// Takes the header's JSON event by event, so that no tree is built of what a stranger wrote. The
// only shape it accepts: {"__metadata__": {text: text}, name: {"dtype": text,
// "shape": [n...], "data_offsets": [n, n]}, ...}.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
  std::string problem;  // Why it stopped.

  bool null() override { return refuse("null is no value here"); }
  bool boolean(bool) override { return refuse("a truth value is none here"); }
  bool number_integer(number_integer_t) override { return refuse("a number is negative"); }
  bool number_float(number_float_t, const string_t&) override {
    return refuse("a number is not whole, or too large");
  }
  bool binary(binary_t&) override { return refuse("binary is no value here"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::kArray) return refuse("a number stands where none belongs");
    if (value > static_cast<number_unsigned_t>(INT64_MAX)) return refuse("a number is too large");
    const auto number = static_cast<std::int64_t>(value);
    if (field_ == "shape") {
      if (entry_.shape.size() == kMaxTensorDims)
        return refuse(str("more than ", kMaxTensorDims, " dims"));
      entry_.shape.push_back(number);
      return true;
    }
    if (num_offsets_ == 2) return refuse("data_offsets has more than two numbers");
    (num_offsets_++ == 0 ? entry_.begin : entry_.end) = number;
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      metadata[field_] = text;
      return true;
    }
    if (place_ != Place::kEntry || field_ != "dtype")
      return refuse("a text stands where none belongs");
    const std::optional<DType> dtype = dtype_named(text);
    if (!dtype) {
      return refuse(str("element type ", nlohmann::json(text).dump(-1, ' ', true).substr(0, 40),
                        " is not one of F64, F32, BF16, F16, I64, I32, U8"));
    }
    entry_.dtype = *dtype;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = name_ == kMetadataKey ? Place::kMetadata : Place::kEntry;
      entry_ = SafetensorsEntry();
      entry_.name = name_;
      num_offsets_ = 0;
      fields_.clear();
    } else {
      return refuse("an object stands where none belongs");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTop) {
      place_ = Place::kOutside;
      return true;
    }
    if (place_ == Place::kEntry) {
      if (fields_.size() != 3) return refuse("dtype, shape or data_offsets is missing");
      if (num_offsets_ != 2) return refuse("data_offsets needs two numbers");
      if (static_cast<std::int64_t>(tensors.size()) == kMaxSafetensorsTensors) {
        return refuse(str("more than ", kMaxSafetensorsTensors, " tensors"));
      }
      tensors.push_back(std::move(entry_));
    }
    place_ = Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kEntry || (field_ != "shape" && field_ != "data_offsets")) {
      return refuse("an array stands where none belongs");
    }
    place_ = Place::kArray;
    return true;
  }

  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool key(string_t& name) override {
    switch (place_) {
      case Place::kTop:
        if (!is_plain_name(name)) return refuse("a tensor's name is empty, too long or unsafe");
        if (!names_.insert(name).second) return refuse("the name occurs twice");
        name_ = name;
        return true;
      case Place::kEntry:
        if (name != "dtype" && name != "shape" && name != "data_offsets") {
          return refuse("a field is not dtype, shape or data_offsets");
        }
        if (!fields_.insert(name).second) return refuse(str(name, " occurs twice"));
        field_ = name;
        return true;
      case Place::kMetadata:
        if (metadata.contains(name)) return refuse("a key of the metadata occurs twice");
        field_ = name;
        return true;
      default:
        return refuse("a key stands where none belongs");
    }
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return refuse(str("it is no JSON at byte ", position));
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kEntry, kArray };

  bool refuse(const std::string& why) {
    problem = name_.empty() ? why : str("tensor ", name_.substr(0, 80), ": ", why);
    return false;
  }

  Place place_ = Place::kOutside;
  std::string name_;   // The key of the top object that is being read.
  std::string field_;  // The key below it.
  SafetensorsEntry entry_;
  int num_offsets_ = 0;
  std::unordered_set<std::string> fields_;
  std::unordered_set<std::string> names_;
};

}  // namespace

const SafetensorsEntry* SafetensorsHeader::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(),
                   [&](const SafetensorsEntry& entry) { return entry.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::string make_safetensors_header(const std::vector<SafetensorsTensor>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[std::string(kMetadataKey)] = metadata;
  std::unordered_set<std::string_view> names;
  std::int64_t offset = 0;
  std::string text;
  // Written entry by entry: ordered_json would look for each name among all others.
  text = json.dump();
  text.pop_back();
  for (const SafetensorsTensor& tensor : tensors) {
    CLOZE_CHECK(is_plain_name(tensor.name) && tensor.name != kMetadataKey &&
                    names.insert(tensor.name).second,
                str("tensor name ", tensor.name, " is unsafe or occurs twice"),
                "give each tensor a plain name of its own");
    const std::optional<std::int64_t> bytes = checked_bytes(tensor.shape, tensor.dtype);
    CLOZE_CHECK(bytes && *bytes >= 0, str("tensor ", tensor.name, " is too large"), "cut it");
    const nlohmann::ordered_json entry = {{"dtype", name_of(tensor.dtype)},
                                          {"shape", tensor.shape},
                                          {"data_offsets", {offset, offset + *bytes}}};
    if (text.size() > 1) text += ',';
    text += nlohmann::ordered_json(tensor.name).dump() + ':' + entry.dump();
    offset += *bytes;
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string header(sizeof(std::uint64_t), '\0');
  const std::uint64_t length = text.size();
  std::memcpy(header.data(), &length, sizeof(length));
  return header + text;
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::int64_t data_bytes,
                                           const std::string& file) {
  const auto refuse = [&](const std::string& why) {
    fail(ExitCode::kBadInput, str(file, ": the safetensors header is not valid: ", why),
         "the file is damaged or made by a broken program: copy or make it again");
  };
  if (json.empty() || json.front() != '{') refuse("it does not begin with {");
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(json, &reader)) refuse(reader.problem);

  SafetensorsHeader header;
  header.metadata = std::move(reader.metadata);
  header.tensors = std::move(reader.tensors);
  header.data_begin = static_cast<std::int64_t>(sizeof(std::uint64_t) + json.size());
  std::stable_sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::int64_t covered = 0;
  for (SafetensorsEntry& entry : header.tensors) {
    const std::optional<std::int64_t> bytes = checked_bytes(entry.shape, entry.dtype);
    if (!bytes) refuse(str("tensor ", entry.name, ": its shape is too large"));
    if (entry.end < entry.begin || entry.end - entry.begin != *bytes) {
      refuse(str("tensor ", entry.name, ": its byte range does not fit its shape"));
    }
    if (entry.begin != covered) {
      refuse(str("tensor ", entry.name, " begins at byte ", entry.begin,
                 ", the one before ends at ", covered));
    }
    if (entry.end > data_bytes) {
      refuse(
          str("tensor ", entry.name, " ends at byte ", entry.end, ", the data has ", data_bytes));
    }
    covered = entry.end;
    entry.begin += header.data_begin;
    entry.end += header.data_begin;
  }
  if (covered != data_bytes) {
    refuse(str("its tensors fill ", covered, " of the ", data_bytes, " bytes of data"));
  }
  return header;
}

}  // namespace cloze
