// Completes a Run.
#include "trainer/config/resolve.h"

#include <string_view>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/idle_rules.h"
#include "trainer/config/keys.h"
#include "trainer/config/presets.h"

namespace cloze {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Key key_of(std::string_view name) {
  const auto key = find_key(name);
  CLOZE_CHECK(key.has_value(), str("no key ", name, " in the schema"), "correct the name");
  return *key;
}

// Sets a field to the value that reading it gives: to its default.
void write_default(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      reflection.SetInt32(&message, &field, field.default_value_int32());
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      reflection.SetInt64(&message, &field, field.default_value_int64());
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      reflection.SetUInt64(&message, &field, field.default_value_uint64());
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      reflection.SetDouble(&message, &field, field.default_value_double());
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(&message, &field, field.default_value_bool());
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection.SetEnum(&message, &field, field.default_value_enum());
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&message, &field, field.default_value_string());
      break;
    default:
      CLOZE_CHECK(false, str("no default for the type of ", field.full_name()),
                  "add it to write_default");
  }
}

void apply_preset(Draft& draft) {
  LoadedConfig& loaded = draft.loaded;
  if (!loaded.run.model().has_preset()) return;
  const std::string name = loaded.run.model().preset();
  const auto preset = preset_of(name);
  if (!preset) {
    const Place& place = loaded.places.at("model.preset");
    const auto close = nearest(name, preset_names());
    draft.problems.push_back(
        {place.file, place.line, place.column, str("model.preset: '", name, "' is unknown"),
         str(close ? str("did you mean ", *close, "? ") : "", "Valid: ", join(preset_names()))});
    draft.broken.insert("model.preset");
    // The sizes would have come from it; rules cannot judge them.
    for (const Key& key : all_keys()) {
      if (key.section->name() == "model" && !is_set(loaded.run, key)) {
        draft.broken.insert(key.name());
      }
    }
    return;
  }
  config::Model merged = *preset;
  for (const Key& key : all_keys()) {
    if (key.section->name() != "model" || is_set(loaded.run, key)) continue;
    if (merged.GetReflection()->HasField(merged, key.field)) {
      loaded.origin[key.name()] = str("preset ", name);
    }
  }
  merged.MergeFrom(loaded.run.model());
  *loaded.run.mutable_model() = merged;
}

// One key that its switch disables: an error, or a notice when a --set flipped the switch of a
// file's key.
void drop_idle(const IdleRule& rule, std::string_view idle, Draft& draft) {
  LoadedConfig& loaded = draft.loaded;
  const std::string name(idle);
  clear(loaded.run, key_of(idle));
  loaded.origin.erase(name);
  const auto written = loaded.places.find(name);
  if (written == loaded.places.end()) return;
  const Place place = written->second;
  loaded.places.erase(written);
  // A family that no source wrote is the preset's.
  auto flip = loaded.places.find(std::string(rule.key));
  if (flip == loaded.places.end() && rule.key == "model.family") {
    flip = loaded.places.find("model.preset");
  }
  const std::string state = str(rule.key, " is ", value_text(loaded.run, key_of(rule.key)));
  if (place.file != kOverrideFile && flip != loaded.places.end() &&
      flip->second.file == kOverrideFile) {
    loaded.notices.push_back(
        str(name, " of ", place.file, ":", place.line, " has no effect: ", state, " by --set"));
    return;
  }
  draft.problems.push_back({place.file, place.line, place.column,
                            str(name, " has no effect: ", state),
                            str("remove it, or set ", rule.key, " to ", rule.enable)});
}

void derive(Draft& draft) {
  LoadedConfig& loaded = draft.loaded;
  config::Run& run = loaded.run;
  const auto derived = [&](const char* key) { loaded.origin[key] = "derived"; };
  config::Model& model = *run.mutable_model();
  const std::int64_t heads = model.num_attention_heads();
  if (!model.has_num_key_value_heads() && heads > 0) {
    model.set_num_key_value_heads(heads);
    derived("model.num_key_value_heads");
  }
  // A rule reports a width that the heads do not divide.
  if (!model.has_head_dim() && heads > 0 && model.hidden_size() % heads == 0 &&
      model.hidden_size() > 0) {
    model.set_head_dim(model.hidden_size() / heads);
    derived("model.head_dim");
  }
  if (run.optimizer().betas_size() == 0) {
    run.mutable_optimizer()->add_betas(0.9);
    run.mutable_optimizer()->add_betas(0.95);
    loaded.origin["optimizer.betas"] = "default";
  }
  config::Parallel& parallel = *run.mutable_parallel();
  if (!parallel.has_sequence()) {
    parallel.set_sequence(parallel.tensor() > 1);
    derived("parallel.sequence");
  }
  for (auto& source : *run.mutable_data()->mutable_train()) source.set_weight(source.weight());
  for (auto& source : *run.mutable_data()->mutable_validation()) {
    source.set_weight(source.weight());
  }
  // One stage has all layers; an axis of size 1 makes its keys idle without a word.
  if (parallel.pipeline() == 1) parallel.clear_stage_layers();
  if (!run.checkpoint().has_directory() && run.run().has_directory()) {
    run.mutable_checkpoint()->set_directory(run.run().directory() + "/checkpoints");
    derived("checkpoint.directory");
  }
}

}  // namespace

void resolve(Draft& draft) {
  apply_preset(draft);
  std::set<std::string> idle;
  for (const IdleRule& rule : idle_rules()) {
    if (draft.broken.contains(std::string(rule.key)) || !rule.disables(draft.loaded.run)) continue;
    for (const std::string_view name : rule.idle) {
      idle.insert(std::string(name));
      drop_idle(rule, name, draft);
    }
  }
  derive(draft);
  config::Run& run = draft.loaded.run;
  for (const Key& key : all_keys()) {
    if (idle.contains(key.name()) || is_set(run, key)) continue;
    if (key.field->is_repeated()) {
      draft.loaded.origin.try_emplace(key.name(), "default");
    } else if (key.field->has_default_value()) {
      write_default(mutable_section_of(run, key), *key.field);
      draft.loaded.origin[key.name()] = "default";
    }
  }
}

}  // namespace cloze
