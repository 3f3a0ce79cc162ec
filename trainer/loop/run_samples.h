// The rows of a run, as training takes them and as `cloze inspect --samples` shows them.
#pragma once

#include "configs/schema/run.pb.h"
#include "data/open_samples.h"
#include "data/sample_source.h"
#include "data/tokenizer.h"

namespace cloze {

// The rows of one split of a resolved config. Errors as of open_samples().
inline SampleSource open_run_samples(const config::Run& run, Split split,
                                     const Tokenizer& tokenizer) {
  return open_samples(run.data(), run.objective(), split, run.run().seed(),
                      run.model().vocab_size(), tokenizer);
}

}  // namespace cloze
