#!/usr/bin/env python3
"""Writes tests/golden/grammar/schemas.jsonl: JSON schemas, texts that are valid under them, and texts that are not.

Independent implementation: Python's jsonschema (draft 2020-12, formats checked) says which texts are valid. Those of "accept" come from a
generator that writes keys in the schema's order; those of "reject" are mutations of them and values from a pool.
usage: make_schema_golden.py > tests/golden/grammar/schemas.jsonl      (needs jsonschema)
"""
import copy
import datetime
import json
import random
import re
import uuid

import jsonschema

random.seed(15)
checker = jsonschema.FormatChecker(formats=[])


@checker.checks("date")
def is_date(x):
    return not isinstance(x, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", x)) and _made(lambda: datetime.date.fromisoformat(x))


@checker.checks("date-time")
def is_date_time(x):
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)"
    return not isinstance(x, str) or bool(re.fullmatch(form, x)) and _made(lambda: datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", x)))


@checker.checks("time")
def is_time(x):
    return not isinstance(x, str) or is_date_time("2000-01-01T" + x)


@checker.checks("uuid")
def is_uuid(x):
    return not isinstance(x, str) or bool(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", x))


def _made(function):
    try:
        function()
        return True
    except ValueError:
        return False


PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
                                           "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3}}, "required": ["name", "age"]}
TREE = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
    "value": {"type": "number"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2}}, "required": ["value"]}}}
SCHEMAS = [
    True, {}, {"type": "object"}, {"type": "array"}, {"type": "string"}, {"type": "number"}, {"type": "integer"}, {"type": "boolean"}, {"type": "null"},
    PERSON, TREE, {"type": ["string", "null"]}, {"type": ["integer", "boolean"]}, {"title": "T", "description": "D", "type": "string"},
    {"enum": ["red", "green", 3, None, {"a": [1]}]}, {"const": "yes"}, {"const": 7}, {"type": "string", "enum": ["a", "b", 1]},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "integer"}}, "required": ["b"]},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"], "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}}, {"type": "object", "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "integer"}, "ab": {"type": "string"}, "b": {"type": "null"}}, "additionalProperties": {"type": "boolean"}},
    {"type": "object", "properties": {"é\"": {"type": "integer"}, "": {"type": "null"}}, "required": ["é\""], "additionalProperties": True},
    {"type": "object", "required": ["x"], "properties": {"y": {"type": "integer"}}},
    {"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "items": {"type": "string"}, "minItems": 1}, {"type": "array", "maxItems": 0}, {"type": "array", "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "null"}, "maxItems": 4},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}, {"type": "null"}], "items": False, "minItems": 1},
    {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 3, "items": {"type": "boolean"}},
    {"type": "string", "minLength": 2, "maxLength": 4}, {"type": "string", "minLength": 3}, {"type": "string", "maxLength": 1},
    {"type": "string", "pattern": "^[a-z]+$"}, {"type": "string", "pattern": "^(foo|bar)?[0-9]{2,3}$"}, {"type": "string", "pattern": "ab"},
    {"type": "string", "pattern": "^a|b$"}, {"type": "string", "pattern": "^\\d{3}-\\w+\\.\\s$"}, {"type": "string", "pattern": "^[^\"\\\\a-c]{1,2}$"},
    {"type": "string", "pattern": "^.\\n\\t[\\u00e9\"\\\\-]$"}, {"type": "string", "pattern": "^(?:x(?:y|z)*)+?$"},
    {"type": "string", "format": "date"}, {"type": "string", "format": "time"}, {"type": "string", "format": "date-time"}, {"type": "string", "format": "uuid"},
    {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}]}, {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind", "n"]},
               {"type": "object", "properties": {"kind": {"const": "b"}, "s": {"type": "string"}}, "required": ["kind"]}]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"properties": {"b": {"type": "null"}}, "required": ["b"]}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "string"}}, "required": ["b"]}]},
    {"allOf": [{"$ref": "#/$defs/base"}, {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}],
     "$defs": {"base": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]}}},
    {"$ref": "#/$defs/n", "maximum": 20, "$defs": {"n": {"type": "integer", "minimum": 10}}},
    {"type": "object", "properties": {"v": {"$ref": "#"}, "w": {"type": "integer"}}, "required": ["w"], "additionalProperties": False},
    {"properties": {"only": {"type": "integer"}}, "required": ["only"]}, {"minLength": 2}, {"items": {"type": "null"}},
    {"type": "string", "const": "q\"\\\n"}, {"enum": [1, 1.5, -2, 1e20]}, {"type": "object", "properties": {"a/b~c": {"$ref": "#/properties/x%"}, "x%": {"type": "null"}}},
]
for low, high in [(0, 9), (0, 150), (-5, 5), (7, 7), (-120, -3), (99, 1001), (-1000, 12), (0, None), (1, None), (25, None), (-3, None), (None, 0), (None, 99),
                  (None, -1), (None, -45), (123456, 123460), (1900, 2100), (-1, 10 ** 12)]:
    for kind in ["integer", "number"]:
        bounds = {k: v for k, v in [("minimum", low), ("maximum", high)] if v is not None}
        SCHEMAS.append({"type": kind, **bounds})
for kind in ["integer", "number"]:
    SCHEMAS += [{"type": kind, "exclusiveMinimum": 0}, {"type": kind, "exclusiveMinimum": 0, "exclusiveMaximum": 2}, {"type": kind, "exclusiveMaximum": 0},
                {"type": kind, "exclusiveMinimum": -3, "maximum": 3}, {"type": kind, "minimum": -3, "exclusiveMaximum": -1}, {"type": kind, "minimum": 2, "exclusiveMinimum": 2, "maximum": 4}]
SCHEMAS += [{"type": "integer", "minimum": 0.5, "maximum": 3.5}, {"type": "integer", "exclusiveMinimum": -1.5, "exclusiveMaximum": 1.5}]

STRINGS = ["", "a", "ab", "abc", "abcd", "abcde", "é", "日本", "\"", "\\", "x\ny", "123-q. ", "yes", "red", "foo12", "bar999", "9", "99", "xyzx", "ba", "aXb", "\t", "a\n\té",
           "😀", "2024-02-29", "2023-02-29", "2023-04-31", "2023-12-31", "1999-1-01", "12:30:00Z", "24:00:00Z", "23:59:59.5+02:00", "12:60:00Z",
           "2024-02-29T12:30:00Z", "2024-02-30T12:30:00Z", "2024-02-29 12:30:00Z", "2024-11-30T00:00:00.123-11:30", str(uuid.UUID(int=random.getrandbits(128))), "1234"]
POOL = [None, True, False, 0, 1, -1, 2, 3, 7, 9, 10, 12, 99, 100, 150, 151, -5, -6, -3, -120, -121, 1.5, -0.5, 0.25, 2.0, 1e20, 123457, 1899, 1900, 2100, 2101, 2.5, 4, -1000,
        -1001, 1001, 1002, 98, {}, [], [1], [1, 2], [1, "a"], [1, "a", None], [1, 2, 3, 4], [1, 2, 3, 4, 5], [1, True, False], ["a"], {"a": 1}, {"a": "x"}, {"b": 2}, {"a": 1, "b": 2},
        {"a": 1, "b": "x"}, {"c": 3}, {"a": 1, "c": 3}, {"x": 1}, {"only": 1}, {"only": "n"}, {"kind": "a", "n": 1}, {"kind": "b"}, {"kind": "c"}, {"ab": True}, {"abc": True},
        {"": None}, {"é\"": 1}, {"name": "n", "age": 5}, {"name": "n", "age": 151}, {"name": "n"}, {"value": 1, "children": [{"value": 2}]}, {"value": 1, "children": [{}]},
        {"w": 1, "v": {"w": 2}}, {"v": {"w": 2}}] + STRINGS


def target(root, reference):
    found = root
    for key in reference.lstrip("#").split("/")[1:]:
        found = found[key.replace("~1", "/").replace("~0", "~")]
    return found


def made(schema, root, depth=0):
    """A value that is meant to be valid, keys in the schema's order; what it gets wrong jsonschema takes out."""
    if schema is True or not schema:
        return random.choice(POOL)
    if "$ref" in schema:
        return made({**target(root, schema["$ref"]), **{k: v for k, v in schema.items() if k not in ("$ref", "$defs")}}, root, depth + 1)
    if "allOf" in schema:
        parts = [target(root, p["$ref"]) if "$ref" in p else p for p in schema["allOf"]]
        return {k: v for p in parts for k, v in made({"type": "object", **p}, root, depth + 1).items()}
    for key in ("anyOf", "oneOf"):
        if key in schema:
            part = random.choice(schema[key])
            if "properties" in schema:
                part = {"type": "object", "properties": {**schema["properties"], **part.get("properties", {})}, "required": part.get("required", [])}
            return made(part, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return random.choice(schema["enum"])
    kind = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else "string")
    if isinstance(kind, list):
        kind = random.choice(kind)
    if kind == "object":
        return made_object(schema, root, depth)
    if kind == "array":
        prefix, items = schema.get("prefixItems", []), schema.get("items", True)
        count = random.randint(schema.get("minItems", len(prefix)), min(schema.get("maxItems", 5), 5 if items is not False else len(prefix)))
        return [made(prefix[i] if i < len(prefix) else items, root, depth + 1) for i in range(count if depth < 4 else schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", schema.get("exclusiveMinimum", -200)), schema.get("maximum", schema.get("exclusiveMaximum", 5000))
        x = random.choice([low, high, random.randint(int(min(low, high)), int(max(low, high)))])
        return x if kind == "integer" or random.random() < 0.4 else x + random.choice([0.5, -0.25, 0.125, 0.0])
    if kind == "string":
        return random.choice(STRINGS) if random.random() < 0.8 else "".join(random.choice("ab é\"\\zx0") for _ in range(random.randrange(6)))
    return {"boolean": random.random() < 0.5, "null": None}[kind]


def made_object(schema, root, depth):
    properties = dict(schema.get("properties", {}))
    for name in schema.get("required", []):
        properties.setdefault(name, True)
    out = {}
    for key, part in properties.items():
        if key in schema.get("required", []) or (depth < 3 and random.random() < 0.5):
            out[key] = made(part, root, depth + 1)
    if schema.get("additionalProperties", not properties) is not False and random.random() < 0.6:
        for key in random.sample(["abc", "q", "日", "A b"], 2):
            out.setdefault(key, made(schema.get("additionalProperties", True), root, depth + 2))
    return out


def mutated(value):
    value = copy.deepcopy(value)
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        action = random.randrange(3)
        if action == 0:
            del value[key]
        elif action == 1:
            value[key] = mutated(value[key])
        else:
            value["extra" if random.random() < 0.5 else key] = random.choice(POOL)
        return value
    if isinstance(value, list) and value and random.random() < 0.8:
        i = random.randrange(len(value))
        value[i:i + 1] = random.choice([[], [mutated(value[i])], [value[i], random.choice(POOL)]])
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and random.random() < 0.7:
        return value + random.choice([1, -1, 0.5, 100, -100])
    if isinstance(value, str) and value and random.random() < 0.7:
        return value + random.choice("ab1\n") if random.random() < 0.5 else value[:-1]
    return random.choice(POOL)


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


for schema in SCHEMAS:
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    values = [made(schema, schema) for _ in range(60)] if schema is not False else []
    accept = sorted({text(v) for v in values if validator.is_valid(v) and "e+" not in text(v)})
    reject = sorted({text(v) for v in POOL + [mutated(random.choice(values)) for _ in range(80)] if not validator.is_valid(v)})
    print(json.dumps(dict(schema=schema, accept=random.sample(accept, min(len(accept), 15)), reject=random.sample(reject, min(len(reject), 25))), ensure_ascii=False))
