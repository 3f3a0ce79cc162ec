// JSON lines are parsed whole, not only up to the text: a line that is damaged elsewhere is one
// whose text cannot be trusted either.
#include "data/document_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "data/utf8.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

const char* kind_of(simdjson::dom::element_type type) {
  switch (type) {
    case simdjson::dom::element_type::ARRAY:
      return "a list";
    case simdjson::dom::element_type::OBJECT:
      return "an object";
    case simdjson::dom::element_type::INT64:
    case simdjson::dom::element_type::UINT64:
    case simdjson::dom::element_type::DOUBLE:
      return "a number";
    case simdjson::dom::element_type::STRING:
      return "a string";
    case simdjson::dom::element_type::BOOL:
      return "true or false";
    case simdjson::dom::element_type::NULL_VALUE:
      return "null";
  }
  return "something else";
}

}  // namespace

struct DocumentParser::Json {
  simdjson::dom::parser parser;

  // The string under `key`, or a fault.
  DocumentText text_of(std::string_view line, const std::string& key) {
    simdjson::dom::element root;
    const auto error = parser.parse(line.data(), line.size(), false).get(root);
    if (error != simdjson::SUCCESS) return fault(simdjson::error_message(error));
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS) {
      return fault(str("the line is ", kind_of(root.type()), ", not an object"));
    }
    std::optional<simdjson::dom::element> found;
    for (const auto field : object) {
      if (field.key != key) continue;
      if (found) return fault(str("the key \"", key, "\" occurs twice"));
      found = field.value;
    }
    if (!found) return fault(str("the key \"", key, "\" is missing"));
    DocumentText result;
    if (found->get(result.text) != simdjson::SUCCESS) {
      return fault(str("\"", key, "\" is ", kind_of(found->type()), ", not a string"));
    }
    return result;
  }

  static DocumentText fault(std::string what) { return {{}, std::move(what), 0}; }
};

DocumentParser::DocumentParser(std::string text_key, std::int64_t max_document_bytes)
    : text_key_(std::move(text_key)),
      max_document_bytes_(max_document_bytes),
      json_(std::make_unique<Json>()) {}
DocumentParser::DocumentParser(DocumentParser&& other) noexcept = default;
DocumentParser& DocumentParser::operator=(DocumentParser&& other) noexcept = default;
DocumentParser::~DocumentParser() = default;

DocumentText DocumentParser::parse(const CorpusChunk& chunk, const CorpusRecord& record,
                                   CorpusFormat format) {
  const bool is_json = format == CorpusFormat::kJsonLines;
  DocumentText result;
  if (record.too_long) {
    result.fault = str("the ", is_json ? "line" : "document", " has more than ",
                       max_document_bytes_, " bytes");
  } else if (is_json) {
    result = json_->text_of(chunk.text_of(record), text_key_);
  } else {
    result.text = chunk.text_of(record);
  }
  result.line = record.line;
  if (!result.fault.empty()) return result;

  // An escape such as \ud800 can make what no UTF-8 file holds.
  std::optional<std::size_t> place = find_invalid_utf8(result.text);
  if (place) {
    result.fault = "the text is not valid UTF-8";
  } else if (result.text.find('\0') != std::string_view::npos) {
    place = result.text.find('\0');
    result.fault = "the text holds a NUL character";
  } else {
    return result;
  }
  if (!is_json) result.line += std::ranges::count(result.text.substr(0, *place), '\n');
  result.fault += str(" (byte ", *place, " of the ", is_json ? "string" : "document", ")");
  return result;
}

}  // namespace cloze
