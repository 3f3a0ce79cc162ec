// A record of a corpus to the text of a document, or to what is wrong with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/corpus_reader.h"

namespace cloze {

struct DocumentText {
  std::string_view text;  // Valid UTF-8 without NUL; until the next call.
  std::string fault;      // What is wrong; empty when nothing is.
  std::int64_t line = 0;  // Of the fault, or where the record starts.
};

// One per thread.
class DocumentParser {
 public:
  // `text_key` is the key of a JSON line whose string is the document.
  DocumentParser(std::string text_key, std::int64_t max_document_bytes);
  DocumentParser(DocumentParser&& other) noexcept;
  DocumentParser& operator=(DocumentParser&& other) noexcept;
  ~DocumentParser();

  DocumentText parse(const CorpusChunk& chunk, const CorpusRecord& record, CorpusFormat format);

 private:
  struct Json;

  std::string text_key_;
  std::int64_t max_document_bytes_;
  std::unique_ptr<Json> json_;
};

}  // namespace cloze
