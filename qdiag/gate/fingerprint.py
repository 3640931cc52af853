"""What two results must have in common before their figures are compared, and what only explains a difference."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from qdiag.core.baseline import MUST_MATCH, Baseline
from qdiag.core.listed import count_noun
from qdiag.core.measures.measurement import Measurement
from qdiag.core.scheme import QuantScheme, TensorScheme

_SHORT = 12


def fingerprints(measurement: Measurement) -> dict[str, str]:
    """By name, in the order of names."""
    data, model = measurement.data, measurement.model
    found = {
        "data": data.digest,
        "samples": str(data.measured_count),
        "scheme": scheme_digest(measurement.scheme),
        "weights": model.digest,
        "architecture": model.architecture,
        "calibration": f"{count_noun(data.calibration_count, 'sample')}, seed {data.seed}",
        **{f"version of {name}": version for name, version in measurement.versions.items()},
    }
    return dict(sorted(found.items()))


def scheme_digest(scheme: QuantScheme) -> str:
    """SHA-256 over the fields that differ from their defaults, names and descriptions left out.

    A field that a later version adds changes nothing as long as it has its default.
    """
    plain = _differing(scheme, QuantScheme())
    for key in ("name", "description"):
        plain.pop(key, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=asdict).encode()).hexdigest()


def mismatch(now: Mapping[str, str], baseline: Baseline) -> str | None:
    """Why a baseline cannot be compared with, in one sentence; None when it can."""
    different = [
        f"{name} {_short(baseline.fingerprints.get(name))} there, {_short(now.get(name))} here"
        for name in MUST_MATCH
        if baseline.fingerprints.get(name) != now.get(name)
    ]
    if not different:
        return None
    return f"the baseline is of something else ({'; '.join(different)}): `update_baseline` `accept` writes it anew"


def explaining_changes(now: Mapping[str, str], baseline: Baseline) -> tuple[str, ...]:
    """Differences that are allowed, one line each."""
    before = baseline.fingerprints
    return tuple(
        f"since the baseline: {name} {_short(before.get(name))} → {_short(now.get(name))}"
        for name in sorted({*before, *now} - {*MUST_MATCH})
        if before.get(name) != now.get(name)
    )


def _short(text: str | None) -> str:
    if text is None:
        return "unknown"
    is_digest = len(text) == 2 * hashlib.sha256().digest_size and all(c in "0123456789abcdef" for c in text)
    return text[:_SHORT] if is_digest else text


def _differing(value: Any, default: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field in fields(value):
        own, usual = getattr(value, field.name), getattr(default, field.name)
        if is_dataclass(own):
            plain[field.name] = _differing(own, TensorScheme())
        elif own != usual:
            plain[field.name] = own
    return plain
