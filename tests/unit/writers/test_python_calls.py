"""Proposals for networks of Python objects: calls that Python reads and the package takes, and no commands."""

import ast
import inspect
from dataclasses import replace

import pytest

import qdiag
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import read
from qdiag.reading.words.commands.in_python import GIVEN, is_of_objects
from qdiag.reading.words.commands.repairing import commands
from qdiag.reading.words.task.afterwards import repair_heading
from qdiag.writers.markdown.report import markdown_report
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import diagnosis


def of_objects() -> Diagnosis:
    """As `qdiag.diagnose(Detector(), [...])` leaves it."""
    found = diagnosis()
    model = replace(found.measurement.model, source="Detector", format="module", architecture="Detector")
    data = replace(found.measurement.data, source="list")
    return replace(found, measurement=replace(found.measurement, model=model, data=data), options=())


def bound(line: str) -> inspect.BoundArguments:
    """The call in a line, with its values as Python reads them; names stand for themselves."""
    (statement,) = ast.parse(line).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    call = statement.value
    assert isinstance(call.func, ast.Attribute)

    def value(node: ast.expr) -> object:
        return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)

    named = {keyword.arg or "": value(keyword.value) for keyword in call.keywords}
    return inspect.signature(getattr(qdiag, call.func.attr)).bind(*map(value, call.args), **named)


def test_repairs_and_changes_of_the_scheme_are_calls_of_the_package() -> None:
    found = of_objects()
    given, repair, measure = commands(found)
    assert given == GIVEN
    taken = bound(repair).arguments
    assert taken["repairs"] == ["reset_variance_mean"] and taken["output"] == "fixed.pt"
    assert (taken["model"], taken["batches"], taken["scheme"]) == ("model", "data", "scheme")
    assert bound(measure).arguments["overrides"] == ['weights.calibrator="mse"']


def test_no_surface_proposes_a_command_that_cannot_be_run() -> None:
    found = of_objects()
    own, change = read(found).proposals
    assert own.heading == "To repair it:" and "of overrides change" in own.remarks[-1]
    (_, line) = change.commands
    assert bound(line).arguments["overrides"] == ['weights.granularity="per_channel"']
    report = markdown_report(found)
    assert "```python\n" in report and "qdiag sqnr Detector" not in report and "qdiag fix-bn" not in report


def test_a_quantized_file_is_repaired_and_measured_by_calls() -> None:
    found = deployed_diagnosis()
    data = replace(found.measurement.data, source="tensors")
    found = replace(found, measurement=replace(found.measurement, data=data), options=(), repaired_file="")
    given, repair, measure = commands(found)
    assert given == GIVEN
    source = found.measurement.deployed.source if found.measurement.deployed is not None else ""
    taken = bound(repair).arguments
    assert (taken["model"], taken["batches"], taken["quantized"]) == ("model", "data", source)
    assert taken["repaired"] == bound(measure).arguments["quantized"] != source
    assert repair_heading(None, commands(found)) == "To repair it:"
    (_, alone) = commands(replace(found, repaired_file="fixed.onnx"))
    assert bound(alone).arguments["quantized"] == "fixed.onnx"
    assert repair_heading(None, (GIVEN, alone)) == "To measure the repaired file:"


@pytest.mark.parametrize("source", ["photos/", "data/eval.npz"])
def test_files_keep_their_commands(source: str) -> None:
    found = diagnosis()
    data = replace(found.measurement.data, source=source)
    assert not is_of_objects(replace(found, measurement=replace(found.measurement, data=data), options=()))
    assert not is_of_objects(found)
