"""The JSON Schema of a stored diagnosis, for those who read it with something else."""

from typing import Any, get_type_hints

from pydantic import TypeAdapter

from qdiag.core.diagnosis import DIAGNOSIS_SCHEMA_VERSION, Diagnosis
from qdiag.writers.json.diagnosis import DIAGNOSIS_DERIVED
from qdiag.writers.plain_json import to_plain

_REFERENCES = "#/$defs/{model}"
_REAL = {
    "description": 'A number; "Infinity", "-Infinity" and "NaN" stand for the values that JSON lacks.',
    "anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity", "NaN"]}],
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what `diagnosis_to_json` writes.

    Fields with a default are not required: files of the same form that an older version wrote may lack them. Derived
    figures are `readOnly`: they are written for readers, and ignored when the file is read back.
    """
    whole = TypeAdapter(Diagnosis).json_schema(ref_template=_REFERENCES)
    definitions: dict[str, Any] = whole.pop("$defs")
    for kind, names in DIAGNOSIS_DERIVED.items():
        if kind.__name__ in definitions:
            for name in names:
                definitions[kind.__name__]["properties"][name] = _derived(kind, name)
    definitions["OpRecord"]["properties"]["drop_db"] = {"type": "number", "readOnly": True}
    whole["properties"]["schema_version"]["maximum"] = DIAGNOSIS_SCHEMA_VERSION
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"qdiag diagnosis, form {DIAGNOSIS_SCHEMA_VERSION}",
        **_tidy(whole),
        "$defs": {**{name: _tidy(definitions[name]) for name in sorted(definitions)}, "Real": _REAL},
    }
    plain: dict[str, Any] = to_plain(schema, {})
    return plain


def _derived(kind: type, name: str) -> dict[str, Any]:
    """The type that a property says it returns."""
    returned = get_type_hints(getattr(kind, name).fget)["return"]
    found = TypeAdapter(returned).json_schema(ref_template=_REFERENCES)
    found.pop("$defs", None)
    if found.get("type") == "object":  # a dataclass by itself is written out: its definition is there already
        found = {"$ref": _REFERENCES.format(model=returned.__name__)}
    return {**found, "readOnly": True}


def _tidy(schema: Any, *, is_names: bool = False) -> Any:
    """Without titles made of field names; numbers may be infinite or undefined.

    Args:
        is_names: the keys of this mapping are names of fields, not words of JSON Schema.
    """
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _tidy(value, is_names=key == "properties" and not is_names)
        for key, value in schema.items()
        if is_names or key != "title"
    }
    if not is_names and kept.get("type") == "number":
        del kept["type"]
        return {"$ref": "#/$defs/Real", **kept}
    return kept
