#include "trainer/config/model_check.h"

#include <optional>
#include <set>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/differences.h"
#include "trainer/config/keys.h"
#include "trainer/config/load.h"
#include "trainer/config/rule_list.h"

namespace cloze {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

// The field as a number; nothing for other types.
std::optional<double> number_of(const config::Model& model, const FieldDescriptor& field) {
  const Reflection& reflection = *model.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(model, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(model, &field);
    default:
      return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> check_model(const config::Model& model) {
  LoadedConfig loaded;
  *loaded.run.mutable_model() = model;
  // No row is asked for: rules about a row's length hold.
  loaded.run.mutable_data()->set_seq_length(0);
  std::vector<std::string> problems;
  std::set<std::string> broken;
  for (const Key& key : all_keys()) {
    if (key.section->name() != "model") continue;
    if (!is_set(loaded.run, key)) {
      if (!key.field->options().GetExtension(config::required)) continue;
      problems.push_back(str(key.field->name(), " is missing"));
      broken.insert(key.name());
      continue;
    }
    const std::optional<double> value = number_of(model, *key.field);
    if (!value || is_in_range(*key.field, *value)) continue;
    problems.push_back(str(key.field->name(), " is ", value_text(loaded.run, key), ", not ",
                           range_text(*key.field)));
    broken.insert(key.name());
    clear(loaded.run, key);  // Rules count with numbers that are in their ranges.
  }
  RuleList rules(loaded, broken);
  check_model_rules(rules);
  for (const Problem& problem : rules.take()) problems.push_back(problem.what);
  return problems;
}

void check_tensor_degree(const config::Model& model, const std::string& name, int ranks) {
  LoadedConfig loaded;
  *loaded.run.mutable_model() = model;
  loaded.run.mutable_parallel()->set_tensor(ranks);
  const std::set<std::string> broken;
  RuleList rules(loaded, broken);
  check_layout_rules(rules, ranks);
  std::vector<std::string> violated;
  for (const Problem& problem : rules.take()) violated.push_back(problem.what);
  CLOZE_REQUIRE(violated.empty(), ExitCode::kUsage,
                str(name, " cannot be cut over ", ranks, " tensor ranks: ", join(violated, "; ")),
                str("its sizes allow --tensor ", tensor_choices(model)));
}

std::vector<std::string> model_differences(const config::Model& given, const config::Model& held) {
  config::Run wanted;
  config::Run found;
  *wanted.mutable_model() = given;
  *found.mutable_model() = held;
  std::vector<std::string> differences;
  for (const Difference& difference : find_differences(found, wanted)) {
    if (difference.kind != DifferenceClass::kForbidden) continue;
    const std::string name = difference.key.substr(difference.key.find('.') + 1);
    // What the weights do not depend on: how long rows may be, how they were first drawn.
    if (name == "max_position_embeddings" && given.family() != config::Model::glm2021) continue;
    if (name == "initializer_range") continue;
    differences.push_back(str(name, " ", difference.after, ", not ", difference.before));
  }
  return differences;
}

}  // namespace cloze
