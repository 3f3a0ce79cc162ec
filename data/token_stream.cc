// Reads the stored tokens at once and sets the missing eos between them.
#include "data/token_stream.h"

#include <algorithm>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {

TokenStream::TokenStream(std::unique_ptr<const Documents> documents, std::int32_t eos)
    : documents_(std::move(documents)), eos_(eos) {
  CLOZE_REQUIRE(
      documents_->num_documents() > 0 && documents_->num_tokens() > 0, ExitCode::kBadInput,
      str(documents_->name(), " holds no tokens (", documents_->num_documents(), " documents)"),
      "prepare it from text that is not empty, or take it out of the config");
  num_added_ = documents_->documents_without(eos);
  num_tokens_ = documents_->num_tokens() + num_added_;
  if (num_added_ == 0) return;  // The stream is the file: nothing is to be kept.
  const std::int64_t count = documents_->num_documents();
  added_before_.reserve(static_cast<std::size_t>(count) + 1);
  starts_.reserve(static_cast<std::size_t>(count) + 1);
  std::int64_t added = 0;
  std::int64_t start = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    added_before_.push_back(added);
    starts_.push_back(start);
    const std::int64_t lacks = documents_->ends_with(i, eos) ? 0 : 1;
    added += lacks;
    start += documents_->document_length(i) + lacks;
  }
  added_before_.push_back(added);
  starts_.push_back(start);
  CLOZE_CHECK(added == num_added_ && start == num_tokens_,
              str(documents_->name(), ": ", added, " documents lack the eos, not ", num_added_),
              "report this");
}

void TokenStream::read(std::int64_t first, std::span<std::int32_t> out) const {
  CLOZE_CHECK(first >= 0 && first + static_cast<std::int64_t>(out.size()) <= num_tokens_,
              str("tokens from ", first, " on, ", out.size(), ", of a stream of ", num_tokens_),
              "read inside the stream");
  if (num_added_ == 0) {
    documents_->read_tokens(first, out);
    return;
  }
  // One read of what is stored, into the end of `out`; then each document moves to its place and
  // gets its eos. The write position never passes the read position, for eos only take space.
  const std::int64_t last = first + static_cast<std::int64_t>(out.size());
  const auto stored = [this](std::int64_t place) {
    // The number of tokens of the files before `place` of this stream.
    const auto after = std::ranges::upper_bound(starts_, place);
    const auto document = static_cast<std::size_t>(after - starts_.begin()) - 1;
    if (document + 1 == starts_.size()) return documents_->num_tokens();
    const std::int64_t length = documents_->document_length(static_cast<std::int64_t>(document));
    return starts_[document] - added_before_[document] +
           std::min(place - starts_[document], length);
  };
  const std::int64_t stored_first = stored(first);
  const std::int64_t stored_last = stored(last);
  const std::size_t offset = out.size() - static_cast<std::size_t>(stored_last - stored_first);
  documents_->read_tokens(stored_first, out.subspan(offset));

  auto document =
      static_cast<std::size_t>(std::ranges::upper_bound(starts_, first) - starts_.begin()) - 1;
  std::size_t from = offset;
  std::int64_t place = first;
  while (place < last) {
    const std::int64_t end = std::min(starts_[document + 1], last);
    const bool lacks = added_before_[document + 1] > added_before_[document];
    const std::int64_t text_end = std::min(end, starts_[document + 1] - (lacks ? 1 : 0));
    for (; place < text_end; ++place) {
      out[static_cast<std::size_t>(place - first)] = out[from++];
    }
    if (place < end) out[static_cast<std::size_t>(place++ - first)] = eos_;
    ++document;
  }
}

}  // namespace cloze
