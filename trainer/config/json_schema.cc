// Walks the schema by protobuf's reflection; each key becomes a property.
#include "trainer/config/json_schema.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "parallel/base/check.h"
#include "trainer/config/idle_rules.h"
#include "trainer/config/keys.h"
#include "trainer/config/presets.h"
#include "trainer/config/schema_comments.h"

namespace cloze {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using Json = nlohmann::ordered_json;

// Whole numbers are written without a point.
Json number(double value) {
  constexpr double kLargestWhole = 9007199254740992;  // 2^53: every whole number below is exact.
  const bool is_whole = value == std::floor(value) && std::abs(value) < kLargestWhole;
  return is_whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

Json any_of(const Json& first, const Json& second) {
  return {{"anyOf", Json::array({first, second})}};
}

// A number of the field's type in its range.
Json number_schema(const FieldDescriptor& field, bool is_whole) {
  const auto& options = field.options();
  Json schema = {{"type", is_whole ? "integer" : "number"}};
  if (options.HasExtension(config::minimum)) {
    schema["minimum"] = number(options.GetExtension(config::minimum));
  }
  if (options.HasExtension(config::above)) {
    schema["exclusiveMinimum"] = number(options.GetExtension(config::above));
  }
  if (options.HasExtension(config::maximum)) {
    schema["maximum"] = number(options.GetExtension(config::maximum));
  }
  if (options.HasExtension(config::below)) {
    schema["exclusiveMaximum"] = number(options.GetExtension(config::below));
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
    schema["minimum"] = 0;
    schema["maximum"] = std::numeric_limits<std::uint64_t>::max();
  }
  return schema;
}

Json whole_number_from(int least, const FieldDescriptor& field) {
  return {{"type", "integer"},
          {"minimum", least},
          {"maximum", number(field.options().GetExtension(config::maximum))}};
}

Json text_schema() { return {{"type", "string"}, {"pattern", R"(^[^\u0000-\u001f\u007f]+$)"}}; }

// A share of 0% to 100% in plain digits; the program also reads 5e1% and -0%.
Json share_schema() {
  return {{"type", "string"}, {"pattern", R"(^(100(\.0+)?|[1-9]?[0-9](\.[0-9]+)?)%$)"}};
}

Json enum_schema(const EnumDescriptor& type, const SchemaComments& comments) {
  Json schema = {{"enum", spellings_of(type)}, {"enumDescriptions", Json::array()}};
  for (int i = 0; i < type.value_count(); ++i) {
    schema["enumDescriptions"].push_back(
        comments.of(type.full_name() + "." + type.value(i)->name()));
  }
  return schema;
}

// One value of the field: the whole of it, or an item of a list.
Json value_schema(const FieldDescriptor& field, const SchemaComments& comments) {
  const std::string only = field.options().GetExtension(config::only);
  if (!only.empty()) return {{"const", Json::parse(only)}};
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return text_schema();
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_ENUM:
      return enum_schema(*field.enum_type(), comments);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return number_schema(field, /*is_whole=*/false);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
    default:
      return number_schema(field, /*is_whole=*/true);
  }
  Json source = {{"type", "object"},
                 {"additionalProperties", false},
                 {"required", Json::array()},
                 {"properties", Json::object()}};
  const Descriptor& type = *field.message_type();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& part = *type.field(i);
    if (part.options().GetExtension(config::required)) source["required"].push_back(part.name());
    Json& property = source["properties"][part.name()];
    property = {{"description", comments.of(part.full_name())}};
    property.update(value_schema(part, comments));
  }
  return any_of(text_schema(), source);
}

// Everything that may stand behind the key.
Json key_schema(const FieldDescriptor& field, const SchemaComments& comments) {
  const Json word_auto = {{"const", "auto"}};
  switch (field.options().GetExtension(config::form)) {
    case config::number_or_auto:
      return any_of(whole_number_from(1, field), word_auto);
    case config::steps_or_share:
      return any_of(whole_number_from(0, field), share_schema());
    case config::numbers_or_auto:
      return any_of({{"type", "array"}, {"items", value_schema(field, comments)}, {"minItems", 1}},
                    word_auto);
    case config::pair:
      return {{"type", "array"},
              {"items", value_schema(field, comments)},
              {"minItems", 2},
              {"maxItems", 2}};
    case config::plain:
      break;
  }
  if (!field.is_repeated()) return value_schema(field, comments);
  Json list = {{"type", "array"}, {"items", value_schema(field, comments)}};
  if (field.options().GetExtension(config::required)) list["minItems"] = 1;
  return list;
}

// Null when the key has none.
Json default_of(const Key& key) {
  const config::Form form = key.field->options().GetExtension(config::form);
  if (form == config::pair) return Json::array({0.9, 0.95});
  const bool has_one = form == config::numbers_or_auto ||
                       (!key.field->is_repeated() && key.field->has_default_value());
  if (!has_one) return nullptr;
  std::string text = value_text(config::Run(), key);
  const Json value = Json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return text;  // A word without quotes, such as auto or 1f1b.
  return value.is_number_float() ? number(value.get<double>()) : value;
}

std::string resume_sentence(const Key& key) {
  if (key.name() == "run.steps") return "";  // Its comment says when.
  switch (key.field->options().GetExtension(config::resume)) {
    case config::harmless:
      return " On resume: free to change.";
    case config::forbidden:
      return " On resume: never to change.";
    case config::run_changing:
      break;
  }
  return str(" On resume: changes with --allow-change ", key.name(), ".");
}

Json property_of(const Key& key, const SchemaComments& comments) {
  Json property = {{"description", comments.of(key.field->full_name()) + resume_sentence(key)}};
  property.update(key_schema(*key.field, comments));
  if (key.name() == "model.preset") property["enum"] = preset_names();
  const Json value = default_of(key);
  if (!value.is_null()) property["default"] = value;
  return property;
}

// The part of a name behind its section.
std::string last_part(std::string_view dotted) {
  return std::string(dotted.substr(dotted.find('.') + 1));
}

// How the switch of a rule is written where the idle keys count: {"enum": [...]}, or any number
// but 0.
Json enabling_values(const IdleRule& rule) {
  const Key key = find_key(rule.key).value();
  if (key.field->enum_type() == nullptr) return {{"not", {{"const", 0}}}};
  Json values = Json::array();
  for (int i = 0; i < key.field->enum_type()->value_count(); ++i) {
    const EnumValueDescriptor* value = key.field->enum_type()->value(i);
    config::Run run;
    google::protobuf::Message& section = mutable_section_of(run, key);
    section.GetReflection()->SetEnum(&section, key.field, value);
    if (!rule.disables(run)) values.push_back(spelling_of(*value));
  }
  return {{"enum", values}};
}

// Unless the switch stands as it must, the idle keys may not be written.
Json idle_condition(const IdleRule& rule) {
  const std::string name = last_part(rule.key);
  Json enabled = {{"properties", {{name, enabling_values(rule)}}}};
  // Without the switch its default counts.
  if (rule.disables(config::Run())) enabled["required"] = Json::array({name});
  Json forbidden = Json::object();
  for (const std::string_view key : rule.idle) forbidden[last_part(key)] = false;
  return {{"if", enabled}, {"else", {{"properties", forbidden}}}};
}

Json section_schema(const FieldDescriptor& section, const SchemaComments& comments) {
  const Descriptor& type = *section.message_type();
  Json required = Json::array();
  Json properties = Json::object();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    properties[field.name()] = property_of({&section, &field}, comments);
    if (field.options().GetExtension(config::required)) required.push_back(field.name());
  }
  Json schema = {{"description", comments.of(type.full_name())},
                 {"type", "object"},
                 {"additionalProperties", false},
                 {"properties", properties}};
  Json conditions = Json::array();
  if (properties.contains("preset")) {
    // A preset has the required keys.
    conditions.push_back(
        {{"if", {{"not", {{"required", {"preset"}}}}}}, {"then", {{"required", required}}}});
  } else if (!required.empty()) {
    schema["required"] = required;
  }
  for (const IdleRule& rule : idle_rules()) {
    if (rule.key.starts_with(section.name() + ".")) conditions.push_back(idle_condition(rule));
  }
  if (!conditions.empty()) schema["allOf"] = conditions;
  return schema;
}

bool has_required_keys(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->options().GetExtension(config::required)) return true;
  }
  return false;
}

}  // namespace

std::string config_json_schema(const std::string& schema_text) {
  const SchemaComments comments(schema_text);
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"title", "Cloze config"},
                 {"description", "Everything a run is; docs/config.md explains it."},
                 {"$comment", "Made from configs/schema/run.proto by cloze config schema."},
                 {"type", "object"},
                 {"additionalProperties", false},
                 {"required", Json::array()},
                 {"properties", Json::object()}};
  const Descriptor& run = *config::Run::descriptor();
  for (int i = 0; i < run.field_count(); ++i) {
    const FieldDescriptor& section = *run.field(i);
    schema["properties"][section.name()] = section_schema(section, comments);
    if (has_required_keys(*section.message_type())) schema["required"].push_back(section.name());
  }
  return schema.dump(2) + "\n";
}

}  // namespace cloze
