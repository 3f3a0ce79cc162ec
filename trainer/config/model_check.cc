#include "trainer/config/model_check.h"

#include <optional>
#include <set>
#include <utility>

#include "parallel/base/check.h"
#include "trainer/config/keys.h"
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

bool is_of_model(const Key& key) { return key.section->name() == "model"; }

}  // namespace

std::vector<Problem> check_model(const config::Model& model, const std::string& file) {
  LoadedConfig loaded;
  loaded.file = file;
  *loaded.run.mutable_model() = model;
  // No row is asked for: rules about a row's length hold.
  loaded.run.mutable_data()->set_seq_length(0);
  std::vector<Problem> problems;
  std::set<std::string> broken;
  for (const Key& key : all_keys()) {
    if (!is_of_model(key)) continue;
    if (!is_set(loaded.run, key)) {
      if (!key.field->options().GetExtension(config::required)) continue;
      problems.push_back({file, 0, 0, str(key.field->name(), " is missing"), "write it"});
      broken.insert(key.name());
      continue;
    }
    const std::optional<double> value = number_of(model, *key.field);
    if (!value || is_in_range(*key.field, *value)) continue;
    problems.push_back({file, 0, 0,
                        str(key.field->name(), " is ", value_text(loaded.run, key), ", not ",
                            range_text(*key.field)),
                        "correct it"});
    broken.insert(key.name());
  }
  RuleList rules(loaded, broken);
  check_model_rules(rules);
  for (Problem& problem : rules.take()) problems.push_back(std::move(problem));
  return problems;
}

void check_tensor_degree(const config::Model& model, int ranks) {
  LoadedConfig loaded;
  loaded.file = str(ranks, " tensor ranks");
  *loaded.run.mutable_model() = model;
  loaded.run.mutable_parallel()->set_tensor(ranks);
  const std::set<std::string> broken;
  RuleList rules(loaded, broken);
  check_layout_rules(rules, ranks);
  throw_problems(rules.take());
}

std::vector<std::string> model_differences(const config::Model& given, const config::Model& held) {
  config::Run wanted;
  config::Run found;
  *wanted.mutable_model() = given;
  *found.mutable_model() = held;
  std::vector<std::string> differences;
  for (const Key& key : all_keys()) {
    if (!is_of_model(key)) continue;
    // What the weights do not depend on: how long rows may be, how they were first drawn.
    const std::string& name = key.field->name();
    if (name == "max_position_embeddings" && given.family() != config::Model::glm2021) continue;
    if (name == "initializer_range") continue;
    if (key.field->options().GetExtension(config::resume) != config::forbidden) continue;
    const std::string before = value_text(found, key);
    const std::string after = value_text(wanted, key);
    if (before != after) differences.push_back(str(name, " ", after, ", not ", before));
  }
  return differences;
}

}  // namespace cloze
