#include "trainer/generate/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace cloze {
namespace {

// The token after the last of `hidden`, the same on every rank: rank 0 chooses.
std::int32_t next_token(const InferenceModel& model, const at::Tensor& hidden,
                        const SamplingOptions& options, std::uint64_t text, std::uint64_t index) {
  const at::Tensor logits = model.logits(hidden.narrow(0, hidden.size(0) - 1, 1));
  at::Tensor chosen = at::empty({1}, at::kInt);
  if (model.tensor().rank() == 0) {
    chosen.fill_(sample({logits.const_data_ptr<float>(), static_cast<std::size_t>(logits.numel())},
                        options, text, index));
  }
  model.tensor().broadcast(chosen, 0).wait();
  return chosen.item<std::int32_t>();
}

// Writes token by token. `first` is the batch of what is read before; `next` makes the batch of
// new token number `index` (from 1), which has `seen` tokens before it.
Continuation write(const InferenceModel& model, const Batch& first,
                   const std::function<Batch(std::int32_t, std::int64_t, std::int64_t)>& next,
                   const GenerationOptions& options, std::uint64_t text, const OnToken& on_token) {
  Continuation written;
  KeyValueCache cache(first.num_tokens() + options.max_new_tokens);
  at::Tensor hidden = model.forward(first, &cache);
  for (std::int64_t index = 1; index <= options.max_new_tokens; ++index) {
    const std::int32_t id =
        next_token(model, hidden, options.sampling, text, static_cast<std::uint64_t>(index - 1));
    if (std::find(options.end_ids.begin(), options.end_ids.end(), id) != options.end_ids.end()) {
      written.ended = true;
      break;
    }
    written.ids.push_back(id);
    on_token(id);
    if (index < options.max_new_tokens) {
      hidden = model.forward(next(id, index, cache.size()), &cache);
    }
  }
  return written;
}

}  // namespace

Continuation continue_text(const InferenceModel& model, const TokenIds& ids,
                           const GenerationOptions& options, const OnToken& on_token) {
  return write(
      model, causal_tokens(ids, 0),
      [](std::int32_t id, std::int64_t /*index*/, std::int64_t seen) {
        return causal_tokens({id}, seen);
      },
      options, /*text=*/0, on_token);
}

Continuation fill_blank(const InferenceModel& model, const TokenIds& ids, const PromptBlank& blank,
                        const SpecialTokens& special, const GenerationOptions& options,
                        std::uint64_t number, const OnToken& on_token) {
  return write(
      model, part_a_and_sop(ids, blank, special),
      [&](std::int32_t id, std::int64_t index, std::int64_t seen) {
        return part_b_token(id, index, blank, seen);
      },
      options, number, on_token);
}

}  // namespace cloze
