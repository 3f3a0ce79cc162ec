// Which tokens of a piece are hidden: the blanks of the three objectives.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/objective_options.h"
#include "data/random_stream.h"
#include "data/sample.h"
#include "data/special_tokens.h"

namespace cloze {

// Tokens [first, first + length) of a piece are hidden.
struct Blank {
  std::int32_t first = 0;
  std::int32_t length = 0;
  std::int32_t mask_place = 0;  // Of its mask token in part A; set when part A is written.

  bool operator==(const Blank&) const = default;
};

// Draws blanks. Reuses its buffers; one per thread.
class BlankSampler {
 public:
  explicit BlankSampler(const ObjectiveOptions& options, std::int32_t eos,
                        const SentenceEnds& sentence_ends);

  // Appends the blanks of a piece, in text order, for any objective but causal. A piece of one
  // token carries no blank, for nothing of it would be left to see.
  void draw(std::span<const std::int32_t> ids, Objective objective, const SampleKey& key,
            std::vector<Blank>& blanks);

  // The order of `count` blanks in part B, uniform over permutations.
  static void draw_order(const SampleKey& key, std::int64_t count,
                         std::vector<std::int32_t>& order);

 private:
  void draw_spans(std::int64_t length, const SampleKey& key, std::vector<Blank>& blanks);
  bool try_spans(std::int64_t length, std::int64_t hidden_least, RandomStream& random,
                 std::vector<Blank>& blanks);
  void draw_sentences(std::span<const std::int32_t> ids, const SampleKey& key,
                      std::vector<Blank>& blanks);
  void draw_document(std::int64_t length, const SampleKey& key, std::vector<Blank>& blanks) const;

  ObjectiveOptions options_;
  std::int32_t eos_;
  const SentenceEnds& sentence_ends_;  // Borrowed.
  SpanLengths lengths_;
  std::vector<std::int32_t> drawn_;   // Lengths of spans.
  std::vector<std::int32_t> places_;  // Their places, without what lies before them.
  std::vector<Blank> sentences_;
};

}  // namespace cloze
