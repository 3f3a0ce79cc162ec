// Writes part A and part B, a run of tokens at a time.
#include "data/blank_infilling.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {

namespace {

template <typename T>
std::span<T> part(std::vector<T>& row, std::int64_t first, std::int64_t length) {
  return std::span<T>(row).subspan(static_cast<std::size_t>(first),
                                   static_cast<std::size_t>(length));
}

void count_up(std::span<std::int32_t> row, std::int32_t first) {
  std::iota(row.begin(), row.end(), first);
}

// Writes one piece, a run of tokens at a time.
class PieceWriter {
 public:
  PieceWriter(std::span<const std::int32_t> ids, Objective objective, Batch& batch,
              std::int64_t first)
      : ids_(ids), document_(objective == Objective::kDocument), batch_(batch), first_(first) {}

  // Visible tokens [begin, end) of the piece, at consecutive positions.
  void visible(std::int64_t begin, std::int64_t end) {
    const std::span<std::int32_t> tokens = part(batch_.tokens, at(), end - begin);
    std::copy_n(ids_.begin() + begin, end - begin, tokens.begin());
    written_ += end - begin;
  }

  void mask_token(std::int32_t id) {
    batch_.tokens[static_cast<std::size_t>(at())] = id;
    ++written_;
  }

  // Part A is written: what all its tokens have in common.
  void close_part_a() {
    const std::int64_t length = written_;
    const auto start = static_cast<std::int32_t>(first_);
    count_up(part(batch_.position, first_, length), 0);
    count_up(part(batch_.rotary_position, first_, length), 0);
    std::ranges::fill(part(batch_.block_position, first_, length), 0);
    std::ranges::fill(part(batch_.targets, first_, length), 0);
    std::ranges::fill(part(batch_.loss_mask, first_, length), std::uint8_t{0});
    std::ranges::fill(part(batch_.lo, first_, length), start);
    std::ranges::fill(part(batch_.hi, first_, length), start + static_cast<std::int32_t>(length));
  }

  // A span of part B: <sop> and the blank's tokens, all at the position of its mask token.
  void span(const Blank& blank, std::int32_t sop, std::int32_t eop) {
    const std::int64_t begin = at();
    const std::int64_t length = std::int64_t{blank.length} + 1;
    const auto hidden =
        ids_.subspan(static_cast<std::size_t>(blank.first), static_cast<std::size_t>(blank.length));
    const std::span<std::int32_t> tokens = part(batch_.tokens, begin, length);
    const std::span<std::int32_t> targets = part(batch_.targets, begin, length);
    tokens.front() = sop;
    std::ranges::copy(hidden, tokens.begin() + 1);
    std::ranges::copy(hidden, targets.begin());
    targets.back() = eop;
    std::ranges::fill(part(batch_.loss_mask, begin, length), std::uint8_t{1});
    std::ranges::fill(part(batch_.position, begin, length), blank.mask_place);
    count_up(part(batch_.block_position, begin, length), 1);
    // [gMASK] runs on, as text does; short blanks stay where they belong (GLM-130B).
    const std::span<std::int32_t> rotary = part(batch_.rotary_position, begin, length);
    if (document_) {
      count_up(rotary, blank.mask_place + 1);
    } else {
      std::ranges::fill(rotary, blank.mask_place);
    }
    std::ranges::fill(part(batch_.lo, begin, length), static_cast<std::int32_t>(first_));
    count_up(part(batch_.hi, begin, length), static_cast<std::int32_t>(begin) + 1);
    written_ += length;
  }

  std::int64_t written() const { return written_; }

 private:
  std::int64_t at() const { return first_ + written_; }

  std::span<const std::int32_t> ids_;
  bool document_;
  Batch& batch_;
  std::int64_t first_;
  std::int64_t written_ = 0;
};

}  // namespace

std::int64_t write_blank_infilling(std::span<const std::int32_t> ids, std::span<Blank> blanks,
                                   std::span<const std::int32_t> order, Objective objective,
                                   const SpecialTokens& special, Batch& batch, std::int64_t first) {
  const auto length = static_cast<std::int64_t>(ids.size());
  PieceWriter writer(ids, objective, batch, first);
  std::int64_t read = 0;
  for (Blank& blank : blanks) {
    writer.visible(read, blank.first);
    blank.mask_place = static_cast<std::int32_t>(writer.written());
    writer.mask_token(special.mask_of(objective));
    read = std::int64_t{blank.first} + blank.length;
  }
  writer.visible(read, length);
  writer.close_part_a();
  const std::int64_t separator = writer.written();

  for (const std::int32_t index : order) {
    writer.span(blanks[static_cast<std::size_t>(index)], special.sop, special.eop);
  }
  const std::span<std::uint8_t> objectives = part(batch.objective, first, writer.written());
  std::ranges::fill(objectives, static_cast<std::uint8_t>(objective));
  return separator;
}

Sample make_blank_infilling_sample(std::span<const std::int32_t> ids,
                                   const ObjectiveOptions& options, const SpecialTokens& special,
                                   const SentenceEnds& sentence_ends, Objective objective,
                                   const SampleKey& key) {
  std::vector<Blank> blanks;
  std::vector<std::int32_t> order;
  BlankSampler sampler(options, special.eos, sentence_ends);
  sampler.draw(ids, objective, key, blanks);
  const auto count = static_cast<std::int64_t>(blanks.size());
  BlankSampler::draw_order(key, count, order);
  const std::int64_t length = corrupted_length(static_cast<std::int64_t>(ids.size()), count);
  Batch batch = empty_row(length);
  const std::int64_t separator =
      write_blank_infilling(ids, blanks, order, objective, special, batch, 0);
  return copy_sample(batch, {.length = length, .separator = separator, .objective = objective});
}

}  // namespace cloze
