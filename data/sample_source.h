// The stream of rows of a run: ordinal n is a window of one source, a function of
// (seed, data, mixture, n) alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/documents.h"
#include "data/mixture.h"
#include "data/row_builder.h"
#include "data/token_stream.h"

namespace cloze {

struct WeightedDocuments {
  std::unique_ptr<const Documents> documents;
  double weight = 1;
};

// Where the row of an ordinal comes from.
struct RowPlace {
  std::int64_t source = 0;
  std::int64_t epoch = 0;   // Of that source.
  std::int64_t window = 0;  // Number in the epoch, in text order.
  std::int64_t first = 0;   // Token of the source's stream.
  std::int64_t length = 0;  // Tokens of the window, without the extra target of causal.

  bool operator==(const RowPlace&) const = default;
};

// Const calls may run in many threads.
class SampleSource {
 public:
  // kUsage for a bad weight, objective or seq_length; kBadInput for a source without tokens.
  SampleSource(RowOptions options, std::vector<WeightedDocuments> sources);

  const RowOptions& options() const { return *options_; }
  std::int64_t seq_length() const { return options_->seq_length; }
  std::int64_t window_length() const { return window_length_; }  // Tokens.
  std::int64_t num_sources() const { return mixture_.num_sources(); }
  const TokenStream& stream(std::int64_t source) const;
  std::int64_t num_windows(std::int64_t source) const;  // Rows of an epoch.
  std::int64_t largest_id() const;                      // Of all sources and special tokens.

  RowPlace place(std::int64_t ordinal) const;
  // The tokens of an ordinal's window; causal: and the one after it, where there is one.
  void read_window(std::int64_t ordinal, std::vector<std::int32_t>& ids) const;

  // One row as a batch. Training builds many at once; see batch_builder.h.
  Batch row(std::int64_t ordinal) const;

  // 32 hexadecimal digits over what decides the rows but for the seed: content, order and weights
  // of the sources, seq_length, objective, special tokens, sentence ends, and the algorithm.
  std::string fingerprint() const;

 private:
  std::unique_ptr<const RowOptions> options_;  // On the heap: builders borrow it.
  std::int64_t window_length_;
  Mixture mixture_;
  std::vector<double> weights_;
  std::vector<TokenStream> streams_;
};

}  // namespace cloze
