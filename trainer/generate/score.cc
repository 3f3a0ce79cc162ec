#include "trainer/generate/score.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/safetensors.h"

namespace cloze {
namespace {

constexpr std::int64_t kChunkTokens = 64;

std::span<const std::byte> bytes_of(const float* first, std::int64_t count) {
  return std::as_bytes(std::span(first, static_cast<std::size_t>(count)));
}

}  // namespace

void write_scores(const InferenceModel& model, const TokenIds& ids,
                  const std::filesystem::path& output) {
  const auto seq = static_cast<std::int64_t>(ids.size());
  const std::int64_t vocab = model.model().vocab_size();
  const bool writes = model.tensor().rank() == 0;
  std::filesystem::path temporary = output;
  temporary += ".tmp";
  std::optional<SafetensorsWriter> writer;
  std::optional<Error> failure;  // Told after the last collective, which the others wait in.
  const auto guarded = [&](const auto& body) {
    if (!writes || failure) return;
    try {
      body();
    } catch (const Error& error) {
      failure = error;
    }
  };
  guarded([&] {
    writer.emplace(temporary,
                   std::vector<SafetensorsTensor>{{"logits", DType::kF32, {seq, vocab}},
                                                  {"log_probabilities", DType::kF32, {seq - 1}}},
                   std::map<std::string, std::string>{{"format", "pt"}});
  });
  std::vector<float> log_probabilities;
  const at::Tensor hidden = model.forward(causal_tokens(ids, 0), nullptr);
  for (std::int64_t first = 0; first < seq; first += kChunkTokens) {
    const std::int64_t count = std::min(kChunkTokens, seq - first);
    const at::Tensor parts = model.logits(hidden.narrow(0, first, count));
    guarded([&] {
      const at::Tensor logits = parts.contiguous();
      writer->write(bytes_of(logits.const_data_ptr<float>(), count * vocab));
      const at::Tensor shares = at::log_softmax(logits.to(at::kDouble), 1);
      for (std::int64_t i = 0; i < count && first + i + 1 < seq; ++i) {
        const std::int32_t next = ids[static_cast<std::size_t>(first + i + 1)];
        log_probabilities.push_back(static_cast<float>(shares[i][next].item<double>()));
      }
    });
  }
  guarded([&] {
    writer->write(bytes_of(log_probabilities.data(), seq - 1));
    writer->finish();
    std::error_code error;
    std::filesystem::rename(temporary, output, error);
    CLOZE_REQUIRE(
        !error, ExitCode::kCannotWrite,
        str("cannot rename ", temporary.string(), " to ", output.string(), ": ", error.message()),
        "choose another --output");
  });
  if (!failure) return;
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  throw Error(*failure);
}

}  // namespace cloze
