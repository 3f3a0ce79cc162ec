// Compares two Runs key by key; the class of a key stands in the schema.
#include "trainer/config/differences.h"

#include <algorithm>
#include <string_view>

#include "parallel/base/check.h"
#include "trainer/config/keys.h"

namespace cloze {
namespace {

// Whether a part of the schedule is measured by run.steps, so that another end changes the
// rate of steps before it.
bool depends_on_steps(const config::Schedule& schedule) {
  if (schedule.warmup().ends_with('%')) return true;
  switch (schedule.kind()) {
    case config::Schedule::constant:
      return false;
    case config::Schedule::wsd:
      return true;
    case config::Schedule::cosine:
    case config::Schedule::linear:
      return schedule.decay().ends_with('%');
  }
  return true;
}

DifferenceClass class_of(const Key& key, const config::Run& before, const config::Run& after) {
  if (key.name() == "run.steps") {
    const bool changes = depends_on_steps(before.schedule()) || depends_on_steps(after.schedule());
    return changes ? DifferenceClass::kRunChanging : DifferenceClass::kHarmless;
  }
  switch (key.field->options().GetExtension(config::resume)) {
    case config::harmless:
      return DifferenceClass::kHarmless;
    case config::forbidden:
      return DifferenceClass::kForbidden;
    case config::run_changing:
      break;
  }
  // A key that lost or gained its effect: the key that did it is listed beside it.
  const bool has_effect = key.field->is_repeated() || (is_set(before, key) && is_set(after, key));
  return has_effect ? DifferenceClass::kRunChanging : DifferenceClass::kHarmless;
}

// A key without effect counts as its default, and so does one that an older version did not know.
std::string text_or_none(const config::Run& run, const Key& key) {
  const bool has_value =
      is_set(run, key) || key.field->is_repeated() || key.field->has_default_value();
  return has_value ? value_text(run, key) : "none";
}

std::string_view name_of(DifferenceClass kind) {
  switch (kind) {
    case DifferenceClass::kHarmless:
      return "harmless";
    case DifferenceClass::kRunChanging:
      return "run-changing";
    case DifferenceClass::kForbidden:
      return "forbidden";
  }
  return "?";
}

}  // namespace

std::vector<Difference> find_differences(const config::Run& before, const config::Run& after) {
  std::vector<Difference> differences;
  for (const Key& key : all_keys()) {
    std::string old_text = text_or_none(before, key);
    std::string new_text = text_or_none(after, key);
    if (old_text == new_text) continue;
    differences.push_back(
        {key.name(), std::move(old_text), std::move(new_text), class_of(key, before, after)});
  }
  return differences;
}

void check_differences(const std::vector<Difference>& differences,
                       const std::vector<std::string>& allowed) {
  const std::vector<Key> keys = all_keys();
  std::vector<std::string> names;
  names.reserve(keys.size());
  for (const Key& key : keys) names.push_back(key.name());
  for (const std::string& name : allowed) {
    const auto close = nearest(name, names);
    CLOZE_REQUIRE(find_key(name).has_value(), ExitCode::kUsage,
                  str("--allow-change ", name, " names no key"),
                  close ? str("did you mean ", *close, "?") : "write it as optimizer.lr");
  }
  std::string listed;
  std::string options;
  bool has_forbidden = false;
  for (const Difference& difference : differences) {
    const bool is_forbidden = difference.kind == DifferenceClass::kForbidden;
    const bool is_allowed = difference.kind == DifferenceClass::kHarmless ||
                            (!is_forbidden && std::find(allowed.begin(), allowed.end(),
                                                        difference.key) != allowed.end());
    if (is_allowed) continue;
    listed += "\n  " + text_of(difference);
    has_forbidden = has_forbidden || is_forbidden;
    if (!is_forbidden) options += " --allow-change " + difference.key;
  }
  if (listed.empty()) return;
  std::string fix = has_forbidden ? "restore the forbidden values, or begin a new run with "
                                    "run.initial naming the checkpoint"
                                  : "restore the values";
  if (!options.empty()) fix += str(has_forbidden ? "; for the others" : ", or", " add", options);
  fail(ExitCode::kUsage, str("the config differs from the checkpoint's:", listed), fix);
}

std::string text_of(const Difference& difference) {
  return str(difference.key, ": ", difference.before, " -> ", difference.after, " (",
             name_of(difference.kind), ")");
}

}  // namespace cloze
