// The values of keys, strictly.
#include "trainer/config/read_value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "configs/schema/run.pb.h"
#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/keys.h"
#include "trainer/config/scalar.h"
#include "trainer/config/yaml_bytes.h"

namespace cloze {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class ValueReader {
 public:
  ValueReader(std::string name, const FieldDescriptor& field, Message& message,
              const std::string& file, std::vector<Problem>& problems)
      : name_(std::move(name)),
        field_(field),
        options_(field.options()),
        message_(message),
        reflection_(*message.GetReflection()),
        file_(file),
        problems_(problems) {}

  void read(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::kNull) {
      const bool in_list = node.key_line == 0;
      report(in_list ? node.line : node.key_line, in_list ? node.column : node.key_column,
             "has no value", "give it one, or remove the key for its default");
      return;
    }
    const config::Form form = options_.GetExtension(config::form);
    const bool is_auto = node.kind == YamlNode::Kind::kScalar && node.text == "auto";
    if (form == config::numbers_or_auto && is_auto && !node.quoted) return;  // Stays empty.
    if (field_.is_repeated()) {
      read_list(node, form);
    } else if (node.kind != YamlNode::Kind::kScalar) {
      const bool is_map = node.kind == YamlNode::Kind::kMap;
      report_at(node, str("is a ", is_map ? "map" : "list", "; ", noun(), " is needed"),
                str("write ", name_, ": VALUE"));
    } else {
      read_scalar(node, form);
    }
  }

 private:
  void read_list(const YamlNode& node, config::Form form) {
    if (node.kind != YamlNode::Kind::kList) {
      const bool is_text = field_.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
      const std::string example = is_text ? str("[", node.text.empty() ? "PREFIX" : node.text, "]")
                                  : form == config::pair            ? "[0.9, 0.95]"
                                  : form == config::numbers_or_auto ? "[7, 1], or auto"
                                                                    : "[10, 11]";
      report_at(node, "is no list", str("write ", example));
      return;
    }
    if (form == config::pair && node.children.size() != 2) {
      report_at(node, str("has ", node.children.size(), " numbers; two are needed"),
                "write [0.9, 0.95]");
      return;
    }
    if (form == config::numbers_or_auto && node.children.empty()) {
      report_at(node, "is an empty list", "write auto, or one number a stage");
      return;
    }
    if (options_.GetExtension(config::required) && node.children.empty()) {
      report_at(node, "is an empty list", "name at least one");
      return;
    }
    for (const YamlNode& item : node.children) {
      if (field_.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        read_source(item);
      } else if (item.kind != YamlNode::Kind::kScalar) {
        report_at(item, "has an item that is no number", "write numbers alone");
      } else {
        read_scalar(item, form);
      }
    }
  }

  // {path, weight}, or the path alone.
  void read_source(const YamlNode& node) {
    Message& source = *reflection_.AddMessage(&message_, &field_);
    const auto& type = *source.GetDescriptor();
    if (node.kind == YamlNode::Kind::kScalar) {
      read_value(node, name_ + ".path", *type.FindFieldByName("path"), source, file_, problems_);
      return;
    }
    if (node.kind != YamlNode::Kind::kMap) {
      report_at(node, "has an item that is no source", "write {path: PREFIX, weight: 1}");
      return;
    }
    bool has_path = false;
    for (const YamlNode& entry : node.children) {
      const FieldDescriptor* field = type.FindFieldByName(entry.key);
      if (field == nullptr) {
        const auto close = nearest(entry.key, {"path", "weight"});
        report(entry.key_line, entry.key_column, str("has an unknown key '", entry.key, "'"),
               close ? str("did you mean ", *close, "?") : "known here: path, weight");
        has_path = has_path || close == "path";
        continue;
      }
      has_path = has_path || entry.key == "path";
      read_value(entry, str(name_, ".", entry.key), *field, source, file_, problems_);
    }
    if (!has_path) report_at(node, "has a source without a path", "add path: PREFIX");
  }

  void read_scalar(const YamlNode& node, config::Form form) {
    if (form == config::number_or_auto || form == config::steps_or_share) {
      read_special(node, form);
      return;
    }
    const bool is_text = field_.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    if (node.quoted && !is_text) {
      report_at(node, str(quoted(node.text), " is a text; ", noun(), " is needed"),
                "remove the quotes");
      return;
    }
    switch (field_.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        read_text(node);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (const auto value = accept(node, parse_bool(node.text))) {
          reflection_.SetBool(&message_, &field_, *value);
        }
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        read_enum(node);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (const auto value = accept(node, parse_double(node.text))) {
          if (field_.is_repeated()) {
            reflection_.AddDouble(&message_, &field_, *value);
          } else {
            reflection_.SetDouble(&message_, &field_, *value);
          }
        }
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        if (const auto value = accept(node, parse_uint64(node.text))) {
          reflection_.SetUInt64(&message_, &field_, *value);
        }
        break;
      default:
        read_int(node);
        break;
    }
    check_supported(node);
  }

  void read_int(const YamlNode& node) {
    const auto value = accept(node, parse_int64(node.text));
    if (!value) return;
    if (field_.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
      // Above the type's range is above every range of a key.
      const auto most = std::int64_t{std::numeric_limits<std::int32_t>::max()};
      reflection_.SetInt32(&message_, &field_, static_cast<std::int32_t>(std::min(*value, most)));
    } else if (field_.is_repeated()) {
      reflection_.AddInt64(&message_, &field_, *value);
    } else {
      reflection_.SetInt64(&message_, &field_, *value);
    }
  }

  void read_text(const YamlNode& node) {
    if (!node.quoted) {
      if (const auto fault = check_plain_text(node.text)) {
        report_at(node, fault->what, fault->fix);
        return;
      }
    }
    if (node.text.empty()) {
      report_at(node, "is an empty text", "write it out, or remove the key");
    } else if (!is_plain_line(node.text)) {
      report_at(node, "has a control character or an invisible one",
                "write it without escapes and line ends");
    } else {
      reflection_.SetString(&message_, &field_, node.text);
    }
  }

  void read_enum(const YamlNode& node) {
    const auto& type = *field_.enum_type();
    for (int i = 0; i < type.value_count(); ++i) {
      if (spelling_of(*type.value(i)) == node.text) {
        reflection_.SetEnum(&message_, &field_, type.value(i));
        return;
      }
    }
    const std::vector<std::string> choices = spellings_of(type);
    for (int i = 0; i < options_.ExtensionSize(config::not_yet); ++i) {
      if (options_.GetExtension(config::not_yet, i) == node.text) {
        report_at(node, str(node.text, " is not supported yet in this version"),
                  str("choose one of: ", join(choices)));
        return;
      }
    }
    const auto close = nearest(node.text, choices);
    report_at(node, str("'", node.text, "' is unknown"),
              close ? str("did you mean ", *close, "? Valid: ", join(choices))
                    : str("choose one of: ", join(choices)));
  }

  // Numbers with a word or a unit, kept as text: 4 or auto, 100 or 2%.
  void read_special(const YamlNode& node, config::Form form) {
    const bool is_share = form == config::steps_or_share;
    const std::string example = is_share ? "100 (steps) or 2%" : "4 or auto";
    std::string text = node.text;
    if (node.quoted) {
      report_at(node, str(quoted(text), " stands in quotes"), str("write ", example));
    } else if (!is_share && text == "auto") {
      reflection_.SetString(&message_, &field_, text);
    } else if (is_share && text.ends_with('%')) {
      text.pop_back();
      const auto share = parse_double(text);
      const double* value = std::get_if<double>(&share);
      if (value == nullptr || !(*value >= 0 && *value <= 100)) {
        report_at(node, str("'", node.text, "' is no share of run.steps"),
                  "write a share from 0% to 100%");
      } else {
        reflection_.SetString(&message_, &field_, shortest(*value) + "%");
      }
    } else {
      const auto number = parse_int64(text);
      const std::int64_t* value = std::get_if<std::int64_t>(&number);
      const double most = options_.GetExtension(config::maximum);
      if (value == nullptr || *value < (is_share ? 0 : 1) || static_cast<double>(*value) > most) {
        report_at(node, str("'", node.text, "' is out of range or no number"),
                  str("write ", example));
      } else {
        reflection_.SetString(&message_, &field_, std::to_string(*value));
      }
    }
  }

  // The number, when it is one and in range.
  template <typename Value>
  std::optional<Value> accept(const YamlNode& node, const Scalar<Value>& scalar) {
    if (const auto* fault = std::get_if<ScalarFault>(&scalar)) {
      report_at(node, fault->what, fault->fix);
      return std::nullopt;
    }
    const Value value = std::get<Value>(scalar);
    if (!is_in_range(field_, static_cast<double>(value))) {
      report_at(node, str(node.text, " is out of range"),
                str("write a number ", range_text(field_)));
      return std::nullopt;
    }
    return value;
  }

  void check_supported(const YamlNode& node) {
    const std::string only = options_.GetExtension(config::only);
    if (only.empty() || node.text == only || !reflection_.HasField(message_, &field_)) return;
    report_at(node, str(node.text, " is not supported yet in this version"), str("write ", only));
  }

  std::string noun() const {
    switch (field_.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return options_.GetExtension(config::form) == config::plain ? "a text" : "a number";
      case FieldDescriptor::CPPTYPE_BOOL:
        return "true or false";
      case FieldDescriptor::CPPTYPE_ENUM:
        return str("one of ", join(spellings_of(*field_.enum_type())));
      default:
        return "a number";
    }
  }

  void report_at(const YamlNode& node, const std::string& what, const std::string& fix) {
    report(node.line, node.column, what, fix);
  }
  void report(int line, int column, const std::string& what, const std::string& fix) {
    problems_.push_back({file_, line, column, str(name_, ": ", what), fix});
  }

  std::string name_;
  const FieldDescriptor& field_;
  const google::protobuf::FieldOptions& options_;
  Message& message_;
  const Reflection& reflection_;
  const std::string& file_;
  std::vector<Problem>& problems_;
};

}  // namespace

void read_value(const YamlNode& node, const std::string& name, const FieldDescriptor& field,
                Message& message, const std::string& file, std::vector<Problem>& problems) {
  ValueReader(name, field, message, file, problems).read(node);
}

}  // namespace cloze
