// The kinds, and the length of the ramp, that disable keys.
#include "trainer/config/idle_rules.h"

namespace cloze {

std::vector<IdleRule> idle_rules() {
  return {
      {"model.family",
       [](const config::Run& run) { return run.model().family() == config::Model::glm2021; },
       "glm4",
       {"model.rope_theta", "model.partial_rotary_factor", "model.attention_bias",
        "model.tie_word_embeddings"}},
      {"objective.kind",
       [](const config::Run& run) { return run.objective().kind() == config::Objective::causal; },
       "blank_infilling",
       {"objective.mask_ratio", "objective.span_mean", "objective.span_max",
        "objective.sentence_ratio", "objective.document_min_ratio", "objective.span_share",
        "objective.sentence_share", "objective.document_share"}},
      {"schedule.kind",
       [](const config::Run& run) { return run.schedule().kind() == config::Schedule::constant; },
       "cosine, linear or wsd",
       {"schedule.decay", "schedule.min_lr"}},
      {"precision.compute",
       [](const config::Run& run) { return run.precision().compute() != config::Precision::fp16; },
       "fp16",
       {"precision.initial_loss_scale", "precision.loss_scale_window",
        "precision.loss_scale_hysteresis", "precision.min_loss_scale"}},
      {"precision.compute",
       [](const config::Run& run) { return run.precision().compute() == config::Precision::fp64; },
       "fp32, bf16 or fp16",
       {"precision.products"}},
      {"batch.ramp_samples",
       [](const config::Run& run) { return run.batch().ramp_samples() == 0; },
       "the rows of the ramp",
       {"batch.ramp_start", "batch.ramp_increment"}},
  };
}

}  // namespace cloze
