// Joins the schema's types, ranges and defaults with its comments.
#include "trainer/config/reference.h"

#include <string_view>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/keys.h"
#include "trainer/config/presets.h"
#include "trainer/config/schema_comments.h"

namespace cloze {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// The page's beginning, up to the names of the presets.
constexpr std::string_view kHead = R"(# cloze config

```
cloze config check CONFIG [--set path=value]... [--world RANKS]   every problem, with its place and its fix
cloze config show CONFIG [--set path=value]... [--world RANKS]    every value, with its origin
cloze config schema                                               the schema for editors
cloze config document                                             this page
```

This page is made from `configs/schema/run.proto` by `cloze config document`; change it there.

## Writing one

A config is a YAML file of sections, at most 1 MiB. Begin with a copy of `configs/tiny.yaml`. Only
`run.directory`, `run.steps`, the two keys of data and the sizes of the model are required, or instead of the sizes
the name of a published model:

```yaml
# yaml-language-server: $schema=schema/run.schema.json
run: {directory: runs/mine, steps: 1000}
model: {preset: glm-base}
data: {tokenizer: runs/corpus/tokenizer, train: [runs/corpus/train]}
```

`--set section.key=value` on the command line goes through the same checks and wins over the file; the
later one of two wins; lists are replaced whole. A value is written as in the file:
`--set 'data.train=[{path: runs/a, weight: 2}, runs/b]'`.

Only the plain part of YAML is read, so that nobody can read another config than the program does. Numbers
are decimal. Texts that could be read as a number or a truth value stand in quotes. Anchors, aliases,
tags, several documents, doubled keys, and characters that cannot be seen are errors. `~` and `$NAME` at the
beginning of a path are errors, for nothing replaces them here.

## Checking: `cloze config check`

```
$ cloze config check mine.yaml --world 8
mine.yaml:3:3: unknown key 'run.stpes'; did you mean run.steps?
mine.yaml:5:11: parallel.tensor: '010' begins with a zero; some readers take it as octal; write it without the leading zero
mine.yaml:9:3: schedule.min_lr has no effect: schedule.kind is constant; remove it, or set schedule.kind to cosine, linear or wsd
```

Each line is `file:line:column: what is wrong; what to write instead`. All problems are listed at once, in
well under a second, before anything of the model is allocated; problems of `--set` stand at
`--set:NUMBER:COLUMN`. With `--world` the layout must also fit that many ranks; where it does not, the layouts
that would are listed. Where a text stops being YAML, at a bracket that is not closed or a tab in the indentation,
the keys before are judged, and nothing is said of what may stand behind. The exit code is 0 or 64. `cloze train`
makes the same checks with the ranks it has.

A key that another key disables (`min_lr` with `kind: constant`) is an error in the same source, and a notice
when a `--set` disables a key of the file, so that one file serves several experiments. A key that only an axis
of size 1 makes idle (`stage_layers` on one stage) is always allowed.

To try on the configs that come with the program; `show` and `schema` are what the next sections tell of:

```
build/release/cloze config check configs/quickstart.yaml --world 4
build/release/cloze config show configs/tiny.yaml --set optimizer.lr=1e-3
build/release/cloze config schema > runs/run.schema.json
```

## Seeing all of it: `cloze config show`

```
$ cloze config show configs/tiny.yaml --set optimizer.lr=1e-3
  hidden_size: 128                          # configs/tiny.yaml:17:3
  sequence: false                           # derived
  lr: 0.001                                 # --set
  eps: 1.0e-08                              # default
```

(shortened). The origin is the place in the file, `--set`, `preset NAME`, `derived` (follows from other keys) or
`default`. Keys without effect are left out. The output is a config itself. A run keeps it as `RUN/config.yaml` and
in every checkpoint, where `cloze inspect` shows it.

## In an editor

`configs/schema/run.schema.json` is the same schema as JSON Schema. An editor with the YAML language server
(Visual Studio Code with the extension YAML by Red Hat; Neovim, Emacs and others with `yaml-language-server`)
completes keys and values, shows their meaning, and marks errors while one types. The first line of a config
names it, relative to the config's own folder:

```yaml
# yaml-language-server: $schema=schema/run.schema.json
```

For configs elsewhere write the schema beside them, `cloze config schema > run.schema.json`, and name that. The
editor knows keys, types, ranges and keys without effect; whether a layout fits is for `cloze config check` to
say.

## What a resumed run may change

The config that is given now is what runs. When a run resumes, every difference from the config in its
checkpoint is printed, with its class:

```
config: log.interval: 1 -> 10 (harmless)
config: optimizer.lr: 3.0e-04 -> 1.0e-04 (run-changing)
config: model.hidden_size: 128 -> 256 (forbidden)
```

- *harmless*: layout, threads, folders, saving, validation, logging. Goes on.
- *run-changing*: from here on it is another run. Needs `--allow-change optimizer.lr`, and is journaled in
  `RUN/events.jsonl`; without it the command ends with 64 and says what to add.
- *forbidden*: the saved numbers would mean something else. Ends with 64. `run.initial` begins a new run from
  the weights instead.

The column *on resume* of the tables below says which class a key has: free, `--allow-change`, or never.

What the bits depend on besides the config (the build, the libraries, the processor, variables such as `MKL_CBWR`)
is kept in checkpoints, too ([numerics.md](numerics.md)). A difference is a warning and an event: the run goes on, but its last bits may
differ from those of one that never stopped. Ranks of one job must run one build and one config; otherwise the
job ends with 64 and names the ranks in the minority.

## Keys

Presets of `model.preset`: `)";

std::string type_text(const FieldDescriptor& field) {
  const auto& options = field.options();
  switch (options.GetExtension(config::form)) {
    case config::number_or_auto:
      return "a whole number, or `auto`";
    case config::steps_or_share:
      return "steps, or a share such as `2%`";
    case config::numbers_or_auto:
      return "a list of whole numbers, or `auto`";
    case config::pair:
      return str("two numbers, ", range_text(field));
    case config::plain:
      break;
  }
  const std::string range = range_text(field);
  const std::string& only = options.GetExtension(config::only);
  if (!only.empty()) return str("`", only, "` in this version");
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "text";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "`true` or `false`";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return str("number", range.empty() ? "" : ", ", range);
    case FieldDescriptor::CPPTYPE_ENUM:
      return str("`", join(spellings_of(*field.enum_type()), "`, `"), "`");
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "list of `{path, weight}` or paths";
    default:
      return str(field.is_repeated() ? "list of whole numbers" : "whole number",
                 range.empty() ? "" : ", ", range);
  }
}

std::string default_text(const Key& key) {
  if (key.field->options().GetExtension(config::required)) return "required";
  if (key.field->name() == "betas") return "`[0.9, 0.95]`";
  if (!key.field->is_repeated() && !key.field->has_default_value()) return "";
  return str("`", value_text(config::Run(), key), "`");
}

std::string resume_text(const Key& key) {
  if (key.name() == "run.steps") return "see there";
  switch (key.field->options().GetExtension(config::resume)) {
    case config::harmless:
      return "free";
    case config::forbidden:
      return "never";
    case config::run_changing:
      break;
  }
  return "`--allow-change`";
}

std::string key_row(const Key& key, const SchemaComments& comments) {
  return str("| `", key.field->name(), "` | ", type_text(*key.field), " | ", default_text(key),
             " | ", resume_text(key), " | ", comments.of(key.field->full_name()), " |\n");
}

std::string choices_of(const FieldDescriptor& field, const SchemaComments& comments) {
  const EnumDescriptor& type = *field.enum_type();
  std::string text = str("\n`", field.name(), "`:\n\n");
  for (int i = 0; i < type.value_count(); ++i) {
    // A value's scope is its enum's parent; its comment is kept under the enum.
    const std::string comment = comments.of(type.full_name() + "." + type.value(i)->name());
    text += str("- `", spelling_of(*type.value(i)), "`: ", comment, "\n");
  }
  return text;
}

std::string section_text(const FieldDescriptor& section, const SchemaComments& comments) {
  const Descriptor& type = *section.message_type();
  std::string text =
      str("\n## `", section.name(), "`\n\n", comments.of(type.full_name()), "\n\n",
          "| key | value | default | on resume | meaning |\n", "| --- | --- | --- | --- | --- |\n");
  std::string choices;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    text += key_row({&section, &field}, comments);
    if (field.enum_type() != nullptr) choices += choices_of(field, comments);
    if (field.message_type() == nullptr) continue;
    if (i > 0 && type.field(i - 1)->message_type() == field.message_type()) continue;
    choices += str("\nA source: ", comments.of(field.message_type()->full_name()), "\n\n");
    for (int j = 0; j < field.message_type()->field_count(); ++j) {
      const FieldDescriptor& part = *field.message_type()->field(j);
      choices += str("- `", part.name(), "`: ", comments.of(part.full_name()), "\n");
    }
  }
  return text + choices;
}

}  // namespace

std::string config_reference(const std::string& schema_text) {
  const SchemaComments comments(schema_text);
  std::string text = str(kHead, join(preset_names(), "`, `"), "`.\n");
  const Descriptor& run = *config::Run::descriptor();
  for (int i = 0; i < run.field_count(); ++i) text += section_text(*run.field(i), comments);
  return text;
}

}  // namespace cloze
