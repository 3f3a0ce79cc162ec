#include "trainer/generate/score.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

constexpr std::int64_t kChunkTokens = 64;

std::vector<SafetensorsTensor> tensors_of(std::int64_t seq, std::int64_t vocab) {
  return {{"logits", DType::kF32, {seq, vocab}}, {"log_probabilities", DType::kF32, {seq - 1}}};
}

// Beside the output, and no name that anybody else uses.
std::filesystem::path temporary_of(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  path += str(".tmp-", ::getpid());
  return path;
}

std::span<const std::byte> bytes_of(const float* first, std::int64_t count) {
  return std::as_bytes(std::span(first, static_cast<std::size_t>(count)));
}

}  // namespace

ScoreFile::ScoreFile(std::filesystem::path output, TokenIds ids, std::int64_t vocab_size)
    : output_(std::move(output)),
      temporary_(temporary_of(output_)),
      ids_(std::move(ids)),
      writer_(temporary_, tensors_of(static_cast<std::int64_t>(ids_.size()), vocab_size),
              {{"format", "pt"}}) {}

ScoreFile::~ScoreFile() {
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);  // Renamed when it was whole.
}

void ScoreFile::add(const at::Tensor& logits) {
  const at::Tensor rows = logits.contiguous();
  writer_.write(bytes_of(rows.const_data_ptr<float>(), rows.numel()));
  const at::Tensor shares = at::log_softmax(rows.to(at::kDouble), 1);
  for (std::int64_t row = 0; row < rows.size(0); ++row) {
    if (++next_ == ids_.size()) return;
    log_probabilities_.push_back(static_cast<float>(shares[row][ids_[next_]].item<double>()));
  }
}

void ScoreFile::finish() {
  writer_.write(
      bytes_of(log_probabilities_.data(), static_cast<std::int64_t>(log_probabilities_.size())));
  writer_.finish();
  std::error_code error;
  std::filesystem::rename(temporary_, output_, error);
  CLOZE_REQUIRE(
      !error, ExitCode::kCannotWrite,
      str("cannot rename ", temporary_.string(), " to ", output_.string(), ": ", error.message()),
      "choose another --output");
}

void write_scores(const InferenceModel& model, const TokenIds& ids, ScoreFile* file) {
  const auto seq = static_cast<std::int64_t>(ids.size());
  const at::Tensor hidden = model.forward(causal_tokens(ids, 0), nullptr);
  for (std::int64_t first = 0; first < seq; first += kChunkTokens) {
    const std::int64_t count = std::min(kChunkTokens, seq - first);
    const at::Tensor logits = model.logits(hidden.narrow(0, first, count));
    if (file != nullptr) file->add(logits);
  }
  if (file != nullptr) file->finish();
}

}  // namespace cloze
