"""Judges configs by configs/schema/run.schema.json alone, as an editor does.

    check_config_schema.py SCHEMA CASES

CASES is a JSON file: a list of texts of YAML. Prints a JSON list with one list for each text: the
places of its errors, "section/key/..." or "" for the whole. Scalars are read as YAML 1.2 does, which
is what the YAML language server speaks; PyYAML by itself speaks 1.1.
"""

import json
import re
import sys

import jsonschema
import yaml


class Yaml12(yaml.SafeLoader):
    """The core schema of YAML 1.2."""


def read_int(loader, node):
    text = loader.construct_scalar(node)
    return int(text, 0) if text[1:2] in ("x", "o") else int(text)


def read_float(loader, node):
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


Yaml12.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
]:
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
Yaml12.add_constructor("tag:yaml.org,2002:int", read_int)
Yaml12.add_constructor("tag:yaml.org,2002:float", read_float)


def with_places(schema):
    """The same schema; jsonschema does not name the property that a schema `false` refuses."""
    if isinstance(schema, dict):
        values = ("additionalProperties", "const", "default")
        return {
            key: {"not": {}} if value is False and key not in values else with_places(value)
            for key, value in schema.items()
        }
    return [with_places(item) for item in schema] if isinstance(schema, list) else schema


def main():
    with open(sys.argv[1]) as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(with_places(schema))
    with open(sys.argv[2]) as file:
        texts = json.load(file)
    verdicts = []
    for text in texts:
        config = yaml.load(text, Loader=Yaml12)
        verdicts.append(
            ["/".join(str(part) for part in error.absolute_path)
             for error in validator.iter_errors(config)]
        )
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main()
