"""A gate as SARIF 2.1.0 (OASIS), for code scanning: one result for each check that did not pass, and for each cause."""

import hashlib
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from qdiag.core.causes.codes import CODES
from qdiag.core.gate import GateResult, GateStatus
from qdiag.reading.words.causes import cause_title
from qdiag.reading.words.gate import RULE_HELP, RULE_TITLES, check_sentence, harm_line, named_cause_words
from qdiag.writers.plain_json import dump, shown

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS_AT_MOST = 5_000
"""What GitHub shows; it refuses more than 25,000."""

_FINGERPRINT = "qdiagRuleAndLayer/v1"
_HARM = "gate/harm"
_LEVELS: dict[GateStatus, str] = {
    "fail": "error",
    "cannot_judge": "error",
    "undecided": "warning",
    "warn": "warning",
    "pass": "none",
}


def gate_sarif(result: GateResult, version: str) -> str:
    """Rules are codes (`QD301`) and the gate's own (`gate/max-drop`), which never change.

    Where a result belongs is told by logical locations, the layers, since a model file has no lines; the file is named
    because viewers want one, at line 1. The fingerprint is of rule, code and layer alone: the same fault in the next
    run, with other figures, is the same alert.

    Args:
        version: of this program.
    """
    results = list(_results(result))[:RESULTS_AT_MOST]
    used = sorted({item["ruleId"] for item in results})
    for item in results:
        item["ruleIndex"] = used.index(item["ruleId"])
    driver = {
        "name": "qdiag",
        "semanticVersion": version,
        "rules": [_rule(rule) for rule in used],
    }
    can_run = result.status != "cannot_judge"
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": can_run, "exitCode": result.exit_code}],
        "results": results,
        "properties": dict(result.fingerprints),
    }
    return dump(shown({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})) + "\n"


def _results(result: GateResult) -> Iterator[dict[str, Any]]:
    for check in result.checks:
        if check.status == "pass":
            continue
        layers = check.places or ((check.layer,) if check.layer else ())
        rule = f"gate/{check.rule.replace('_', '-')}"
        yield _result(rule, _LEVELS[check.status], check_sentence(check), layers, result, check.code or "")
    if result.is_harm_overlooked:
        yield _result(_HARM, "warning", harm_line(result), (), result, "")
    level = "error" if result.status == "fail" else "warning"
    for cause in result.causes:
        for layer in cause.layers:
            words = named_cause_words(cause)
            yield _result(cause.code, level, f"{layer}: {words}", (layer,), result, "cause")


def _result(rule: str, level: str, text: str, layers: tuple[str, ...], result: GateResult, kind: str) -> dict[str, Any]:
    identity = "\n".join((rule, kind, *(layers if len(layers) == 1 else ()))).encode("utf-8", "surrogatepass")
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(result)}, "region": {"startLine": 1}}
    }
    if layers:
        location["logicalLocations"] = [{"name": layer, "fullyQualifiedName": layer} for layer in layers]
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [location],
        "partialFingerprints": {_FINGERPRINT: hashlib.sha256(identity).hexdigest()[:32]},
    }


def _rule(rule: str) -> dict[str, Any]:
    for code in CODES:
        if code.code == rule:
            return {
                "id": rule,
                "name": "".join(word.capitalize() for word in code.slug.split("_")),
                "shortDescription": {"text": cause_title(rule)},
                "properties": {"tags": ["quantization", code.family]},
            }
    for name, title in RULE_TITLES.items():
        if rule == f"gate/{name.replace('_', '-')}":
            return {
                "id": rule,
                "name": "".join(word.capitalize() for word in name.split("_")),
                "shortDescription": {"text": title},
                "fullDescription": {"text": RULE_HELP[name]},
                "properties": {"tags": ["quantization", "gate"]},
            }
    return {"id": rule, "shortDescription": {"text": "harm that no limit looks at" if rule == _HARM else rule}}


def _uri(result: GateResult) -> str:
    """The model file, as a relative reference where it is one."""
    source = result.model.source if result.model is not None else result.source
    path = PurePath(source.split(", submodule ")[0])
    text = quote(path.as_posix(), safe="/", errors="replace")
    return f"file://{text}" if path.is_absolute() else text or "model"
