// The rules of the model and of training; the layout has layout_rules.cc.
#include "trainer/config/rules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <string_view>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/fill.h"
#include "trainer/config/keys.h"
#include "trainer/config/rule_list.h"
#include "trainer/config/scalar.h"

namespace cloze {
namespace {

constexpr std::size_t kLongestPath = 4095;      // PATH_MAX without the final zero.
constexpr std::size_t kLongestComponent = 255;  // NAME_MAX.
// Such as /.tmp-step-0000000000000000000-0000000000000000000/rank-00000.safetensors in the folder
// of checkpoints, and that folder in the run's.
constexpr std::size_t kLongestNameOfSave = 128;
constexpr std::size_t kLongestNameOfRun = kLongestNameOfSave + 16;

bool fits_a_path(std::string_view path) {
  if (path.size() > kLongestPath) return false;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > kLongestComponent) return false;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return true;
}

void check_path(RuleList& rules, const char* key, const std::string& path) {
  rules.require(fits_a_path(path), {key},
                str(key, " is longer than a path can be (", kLongestPath, " bytes, ",
                    kLongestComponent, " a part)"),
                "choose a shorter one");
  // A shell would replace these; a folder that is called so is meant by nobody.
  rules.require(!path.starts_with('~') && !path.starts_with('$'), {key},
                str(key, " begins with ", path.substr(0, 1), ", which stays as it is"),
                str("write the folder out, or ./", path, " when it is called so"));
}

// A folder that the run writes into: what it puts there needs names, too.
void check_folder(RuleList& rules, const char* key, const std::string& path,
                  std::size_t longest_name_inside) {
  check_path(rules, key, path);
  rules.require(!fits_a_path(path) || path.size() + longest_name_inside <= kLongestPath, {key},
                str(key, " has ", path.size(), " bytes; the names of the files inside need ",
                    longest_name_inside, " of the ", kLongestPath, " that a path can have"),
                "choose a shorter one, or one relative to the working directory");
}

void check_required(RuleList& rules) {
  for (const Key& key : all_keys()) {
    if (!key.field->options().GetExtension(config::required)) continue;
    const std::string name = key.name();
    rules.require(is_set(rules.run(), key), {name.c_str()}, str("missing key ", name),
                  str("write ", key.field->name(), ": in the section ", key.section->name(),
                      key.section->name() == "model" ? ", or name a model.preset" : ""));
  }
}

void check_objective(RuleList& rules) {
  const config::Objective& objective = rules.run().objective();
  if (objective.kind() != config::Objective::blank_infilling) return;
  const double shares =
      objective.span_share() + objective.sentence_share() + objective.document_share();
  rules.require(
      std::abs(shares - 1) < 1e-9,
      {"objective.span_share", "objective.sentence_share", "objective.document_share"},
      str("the shares of the objectives sum to ", shortest(shares), ", not 1"),
      shares > 0
          ? str("in the same proportion: span_share ", shortest(objective.span_share() / shares),
                ", sentence_share ", shortest(objective.sentence_share() / shares),
                ", document_share ", shortest(objective.document_share() / shares))
          : std::string("write span_share 0.5, sentence_share 0.2, document_share 0.3"));
  rules.require(objective.span_mean() <= static_cast<double>(objective.span_max()),
                {"objective.span_mean", "objective.span_max"},
                str("objective.span_mean ", shortest(objective.span_mean()), " > span_max ",
                    objective.span_max()),
                str("raise span_max to ", std::ceil(objective.span_mean()), " or more"));
}

void check_schedule(RuleList& rules) {
  const config::Run& run = rules.run();
  const config::Schedule& schedule = run.schedule();
  const std::int64_t steps = run.run().steps();
  if (steps > 0) {
    const std::int64_t warmup = steps_of(schedule.warmup(), steps);
    rules.require(warmup <= steps, {"schedule.warmup", "run.steps"},
                  str("schedule.warmup ", warmup, " > run.steps ", steps),
                  str("write at most ", steps, ", or a share such as 2%"));
    if (schedule.kind() == config::Schedule::wsd && warmup <= steps) {
      const std::int64_t decay = steps_of(schedule.decay(), steps);
      rules.require(warmup + decay <= steps,
                    {"schedule.decay", "schedule.warmup", "schedule.kind", "run.steps"},
                    str("schedule.warmup ", warmup, " + decay ", decay, " > run.steps ", steps),
                    str("with wsd the decay is the last part: write at most ", steps - warmup,
                        ", or a share such as 20%"));
    }
  }
  if (schedule.kind() != config::Schedule::constant) {
    rules.require(schedule.min_lr() <= run.optimizer().lr(), {"schedule.min_lr", "optimizer.lr"},
                  str("schedule.min_lr ", shortest(schedule.min_lr()), " > optimizer.lr ",
                      shortest(run.optimizer().lr())),
                  str("write at most ", shortest(run.optimizer().lr())));
  }
}

void check_data(RuleList& rules) {
  const config::Run& run = rules.run();
  check_folder(rules, "run.directory", run.run().directory(), kLongestNameOfRun);
  check_path(rules, "run.initial", run.run().initial());
  // Derived from run.directory, it would repeat that key's problem.
  if (run.checkpoint().directory() != run.run().directory() + "/checkpoints") {
    check_folder(rules, "checkpoint.directory", run.checkpoint().directory(), kLongestNameOfSave);
  }
  check_path(rules, "data.tokenizer", run.data().tokenizer());
  for (const auto& source : run.data().train()) check_path(rules, "data.train", source.path());
  for (const auto& source : run.data().validation()) {
    check_path(rules, "data.validation", source.path());
  }
  rules.require(run.validation().interval() == 0 || run.data().validation_size() > 0,
                {"validation.interval", "data.validation"},
                "validation.interval is set, but data.validation names no source",
                "add data.validation: [PREFIX], or write validation.interval: 0");
  const std::int64_t most_tokens = std::numeric_limits<std::int32_t>::max();
  const std::int64_t tokens = run.batch().micro_size() * run.data().seq_length();
  rules.require(tokens <= most_tokens, {"batch.micro_size", "data.seq_length"},
                str("one forward would have ", tokens, " tokens, more than ", most_tokens),
                str("write batch.micro_size at most ", most_tokens / run.data().seq_length()));
}

void check_trace(RuleList& rules) {
  const auto& steps = rules.run().log().trace();
  std::set<std::int64_t> ascending(steps.begin(), steps.end());
  std::vector<std::string> words;
  for (const std::int64_t step : ascending) words.push_back(std::to_string(step));
  rules.require(std::equal(steps.begin(), steps.end(), ascending.begin(), ascending.end()),
                {"log.trace"}, "log.trace does not name each step once, in ascending order",
                str("write [", join(words), "]"));
}

}  // namespace

void RuleList::require(bool holds, std::initializer_list<const char*> keys, const std::string& what,
                       const std::string& fix) {
  if (holds) return;
  // A --set changed what the file had agreed on, so it comes first.
  const Place* chosen = nullptr;
  for (const char* key : keys) {
    if (broken_.contains(key)) return;
    const auto place = config_.places.find(key);
    if (place == config_.places.end()) continue;
    const bool is_first = chosen == nullptr;
    const bool is_first_option =
        !is_first && place->second.file == kOverrideFile && chosen->file != kOverrideFile;
    if (is_first || is_first_option) chosen = &place->second;
  }
  // Of keys that nobody wrote, the section is what can be pointed at.
  for (const char* key : keys) {
    const std::string name(key);
    const auto section = config_.places.find(name.substr(0, name.find('.')));
    if (chosen == nullptr && section != config_.places.end()) chosen = &section->second;
  }
  Problem problem{config_.file, 0, 0, what, fix};
  if (chosen != nullptr) {
    problem.file = chosen->file;
    problem.line = chosen->line;
    problem.column = chosen->column;
  }
  problems_.push_back(problem);
}

// Rotary positions turn numbers in pairs.
void check_rotation(RuleList& rules, const config::Model& model) {
  constexpr double kLargestHeadDim = 65536;
  const double factor = model.partial_rotary_factor();
  const double width = static_cast<double>(model.head_dim()) * factor;
  const auto rotated = static_cast<std::int64_t>(width);
  const std::int64_t even = std::max<std::int64_t>(2, rotated - rotated % 2);
  const double fitting = static_cast<double>(even) / factor;
  rules.require(
      rotated >= 2 && rotated % 2 == 0, {"model.partial_rotary_factor", "model.head_dim"},
      str("head_dim * partial_rotary_factor rotates ", rotated,
          " numbers of a head; they turn in pairs"),
      fitting <= kLargestHeadDim
          ? str("choose head_dim ", static_cast<std::int64_t>(fitting), " or another factor")
          : "choose a larger factor");
}

void check_model_rules(RuleList& rules) {
  const config::Model& model = rules.run().model();
  const std::int64_t heads = model.num_attention_heads();
  const std::int64_t kv_heads = model.num_key_value_heads();
  const std::int64_t hidden = model.hidden_size();
  if (heads > 0 && hidden > 0 && !model.has_head_dim()) {
    rules.require(hidden % heads == 0,
                  {"model.hidden_size", "model.num_attention_heads", "model.head_dim"},
                  str("model.hidden_size ", hidden, " % num_attention_heads ", heads, " is not 0"),
                  str("write hidden_size ", std::max<std::int64_t>(1, hidden / heads) * heads,
                      ", or say model.head_dim"));
  }
  if (heads > 0 && kv_heads > 0) {
    std::int64_t nearest_kv = std::min(kv_heads, heads);
    while (heads % nearest_kv != 0) --nearest_kv;
    rules.require(
        heads % kv_heads == 0, {"model.num_key_value_heads", "model.num_attention_heads"},
        str("model.num_attention_heads ", heads, " % num_key_value_heads ", kv_heads, " is not 0"),
        str("write num_key_value_heads ", nearest_kv));
  }
  const std::int64_t positions = model.max_position_embeddings();
  if (model.family() == config::Model::glm2021) {
    rules.require(heads == 0 || kv_heads == heads,
                  {"model.num_key_value_heads", "model.num_attention_heads", "model.family"},
                  str("family glm2021 has as many key and value heads as query heads, not ",
                      kv_heads, " and ", heads),
                  "remove model.num_key_value_heads");
    rules.require(!model.has_head_dim() || heads == 0 || model.head_dim() * heads == hidden,
                  {"model.head_dim", "model.num_attention_heads", "model.hidden_size"},
                  str("family glm2021 needs head_dim * num_attention_heads = hidden_size, not ",
                      model.head_dim(), " * ", heads, " = ", hidden),
                  "remove model.head_dim");
    rules.require(
        rules.run().data().seq_length() <= positions,
        {"data.seq_length", "model.max_position_embeddings"},
        str("data.seq_length ", rules.run().data().seq_length(),
            " > model.max_position_embeddings ", positions, ", the rows of the position tables"),
        str("write seq_length ", positions, " or less, or raise the table"));
  } else if (model.has_head_dim()) {
    check_rotation(rules, model);
  }
}

void check_training_rules(RuleList& rules) {
  check_required(rules);
  check_objective(rules);
  check_schedule(rules);
  check_data(rules);
  check_trace(rules);
  const config::Precision& precision = rules.run().precision();
  rules.require(precision.compute() != config::Precision::fp16 ||
                    precision.min_loss_scale() <= precision.initial_loss_scale(),
                {"precision.min_loss_scale", "precision.initial_loss_scale"},
                str("precision.min_loss_scale ", shortest(precision.min_loss_scale()),
                    " > initial_loss_scale ", shortest(precision.initial_loss_scale())),
                str("write at most ", shortest(precision.initial_loss_scale())));
}

std::vector<Problem> check_rules(const LoadedConfig& config, std::optional<int> world_size,
                                 const std::set<std::string>& broken) {
  RuleList rules(config, broken);
  check_training_rules(rules);
  check_model_rules(rules);
  check_layout_rules(rules, world_size);
  return rules.take();
}

std::int64_t steps_of(const std::string& steps_or_share, std::int64_t total) {
  const bool is_share = steps_or_share.ends_with('%');
  const auto parsed = parse_double(
      std::string_view(steps_or_share).substr(0, steps_or_share.size() - (is_share ? 1 : 0)));
  const double* number = std::get_if<double>(&parsed);
  CLOZE_REQUIRE(number != nullptr && *number >= 0, ExitCode::kUsage,
                str("'", steps_or_share, "' is neither steps nor a share"), "write 100 or 2%");
  if (!is_share) return static_cast<std::int64_t>(*number);
  // The small number takes back what rounding of the product may add.
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(total) * *number / 100 - 1e-9));
}

}  // namespace cloze
