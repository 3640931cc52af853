"""Diagnoses of the planted networks of every task, each made once per test run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import pytest

import qdiag
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.pipeline.preparation.prepare import prepare
from tests.planted.tasks.registry import TASK_NETWORKS

How = Literal["by_metric", "by_targets", "unlabelled"]
"""Judged by the plain metric of the task; by what the targets, and the user where `is_told`, say; without targets."""

DIAGNOSED_BY_TARGETS = ("detector", "detector_two_outputs")
"""See `test_detection.py`."""


def _arguments(name: str, how: How) -> dict[str, object]:
    network = TASK_NETWORKS[name]
    is_labelled = how != "unlabelled"
    data = network.data()
    given: dict[str, object] = {
        "batches": data.measured.batches(labelled=is_labelled),
        "calibration": data.calibration.batches(labelled=is_labelled),
        "scheme": network.scheme,
        "with_sensitivity": False,
        "with_bits": False,
    }
    if how == "by_metric":
        given["metric"] = network.metric
    elif is_labelled and network.is_told:
        given |= {"task": network.task, "output": network.judged}
    return given


@contextmanager
def _captured_once(name: str) -> Iterator[None]:
    """Of the same module on the same inputs, however it is judged."""

    def once(*given: Any, fold: bool, **more: Any) -> Any:
        if (name, fold) not in _CAPTURED:
            _CAPTURED[name, fold] = prepare(*given, fold=fold, **more)
        return _CAPTURED[name, fold]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.pipeline.begin.prepare", once)
        yield


_CAPTURED: dict[tuple[str, bool], Any] = {}


@cache
def diagnosis(name: str, how: How = "by_metric") -> Diagnosis:
    """Findings and ranked causes of a planted network."""
    with _captured_once(name):
        return qdiag.diagnose(TASK_NETWORKS[name].build(), **_arguments(name, how))  # type: ignore[arg-type]


@cache
def measurement(name: str, how: How) -> Measurement:
    """The figures alone, of the diagnosis where there is one for other tests anyway."""
    if how == "by_metric":
        return diagnosis(name).measurement
    if how == "unlabelled" or name in DIAGNOSED_BY_TARGETS:
        return diagnosis(name, how).measurement
    given = {key: value for key, value in _arguments(name, how).items() if not key.startswith("with_")}
    with _captured_once(name):
        return qdiag.measure(TASK_NETWORKS[name].build(), **given)  # type: ignore[arg-type]
