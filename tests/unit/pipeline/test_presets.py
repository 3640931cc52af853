"""Every preset from end to end: figures, findings, other widths, files and reports, on one small network."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.config import load_preset, preset_names
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.reading.words.layers import tensor_scheme_words
from qdiag.writers.csv.layers import layer_csv, range_csv
from qdiag.writers.html.report import html_report
from qdiag.writers.json.diagnosis import diagnosis_from_json, diagnosis_to_json
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import text as escaped
from qdiag.writers.plots.pictures import report_pictures

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))
HARSH = {"bnn": 0.0, "xnor": -20.0, "twn": 0.0, "log4": 5.0, "w2a2": 5.0}
"""Decibels that the harshest presets still have at the output of this network; 10 of the others."""


class Net(nn.Module):
    """Convolutions of several kinds, a sum, a product of activations and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.pointwise = nn.Conv2d(12, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.stem(x)
        y = torch.relu(self.pointwise(torch.relu(self.depthwise(kept))) + kept)
        rows = y.flatten(2)
        attended = torch.softmax(rows.transpose(1, 2) @ rows / 64.0, -1) @ rows.transpose(1, 2)
        return self.head(attended.mean(1))


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


@pytest.fixture(scope="module", autouse=True)
def captured_once() -> Iterator[None]:
    """The network with its BatchNorm folded, and not: whatever the scheme is, it is the same."""
    captures: dict[bool, Any] = {}

    def once(*given: Any, fold: bool, device: torch.device) -> Any:
        if fold not in captures:
            captures[fold] = prepare(*given, fold=fold, device=device)
        return captures[fold]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.pipeline.ranges.prepare", once)
        patch.setattr("qdiag.pipeline.begin.prepare", once)
        yield


@pytest.fixture(scope="module", params=preset_names())
def diagnosed(request: pytest.FixtureRequest) -> Diagnosis:
    """With labels: what the float network answers, but for every sixth image."""
    with torch.no_grad():
        labels = (network()(IMAGES).argmax(1) + (torch.arange(len(IMAGES)) % 6 == 0).long()) % 5
    data = (IMAGES, labels)
    return qdiag.diagnose(network(), data, scheme=request.param, with_bits=True, with_sensitivity=True, exhaustive=True)


def test_figures_and_other_widths(diagnosed: Diagnosis) -> None:
    scheme = diagnosed.measurement.scheme
    assert diagnosed.measurement.outputs[0].error.sqnr_db > HARSH.get(scheme.name, 10.0)
    quantized = [record for record in diagnosed.measurement.records if record.is_quantized]
    weighted = [record for record in quantized if record.weight is not None]
    assert len(weighted) == (0 if scheme.weights.is_float else 2 if scheme.name == "xnor" else 4)
    for record in quantized:
        assert math.isfinite(record.local.sqnr_db) or record.local.sqnr_db == math.inf
        assert not record.local.simulated_nonfinite_count
    if scheme.activations.is_block:
        assert all(record.quantizer is None for record in diagnosed.measurement.records)
        assert [len(r.operands) for r in diagnosed.measurement.records if r.kind == "matmul"] == [2, 2]
        assert all(len(record.operands) == 1 for record in weighted)
    assert diagnosed.sensitivity is not None
    rows = {row.layer for row in diagnosed.sensitivity.rows}
    # the first and the last layer are kept in float, and the signs between are read by the layers with weights
    assert rows == {"depthwise", "pointwise"} if scheme.name == "xnor" else len(rows) >= 4
    points = {point.bits: point.score.output_sqnr_db for point in diagnosed.bits}
    kinds = {scheme.weights.type, scheme.activations.type}
    if kinds <= {"affine", "binary", "ternary", "power_of_two"}:
        assert list(points) == [4, 5, 6, 7, 8, 10, 12, 16]
    elif "block_float" in kinds:
        assert list(points) == [4, 6, 8]
        assert any("are left out of the widths" in note for note in diagnosed.notes)
    assert points[4] < points[8] or kinds == {"power_of_two"}, "more bits of these reach further down alone"


def test_files_and_reports(diagnosed: Diagnosis) -> None:
    scheme = diagnosed.measurement.scheme
    stored = diagnosis_to_json(diagnosed)
    assert diagnosis_to_json(diagnosis_from_json(stored)) == stored
    page, text = html_report(diagnosed), markdown_report(diagnosed)
    for words in map(tensor_scheme_words, (scheme.weights, scheme.activations)):
        assert words in page
        assert escaped(words) in text
    kinds = {scheme.weights.type, scheme.activations.type}
    for words in (page, text):
        assert ("powers of two reach smaller values" in words) == ("power_of_two" in kinds)
        assert ("numbers come in one width" in words) == bool(kinds & {"binary", "ternary"})
    first = {picture.section: picture for picture in reversed(report_pictures(diagnosed))}
    for section in ("channels", "histogram", "bits"):  # those that ask what the quantizers are
        assert first[section].draw().axes
    rows = list(csv.DictReader(io.StringIO(layer_csv(diagnosed.measurement))))
    assert [row["layer"] for row in rows] == [record.name for record in diagnosed.measurement.records]


def test_answers_are_counted_gated_and_compared(diagnosed: Diagnosis) -> None:
    """From the stored result, as the commands do it."""
    stored = diagnosis_from_json(diagnosis_to_json(diagnosed))
    figure = stored.measurement.task.judged
    assert figure is not None and figure.criterion.name == "top-1" and figure.reference == pytest.approx(100.0 * 5 / 6)
    lost = figure.reference - figure.simulated
    evidence = GateEvidence("d.json", stored.measurement, stored.ranking)
    for bound, is_kept in ((lost + 1.0, True), (lost - 1.0, False)):
        limits = Thresholds(max_drop_pp=Limit(fail=bound), min_sqnr_db=Limit(fail=-30.0), allow_few_samples=True)
        drop, sqnr = judge(evidence, limits).checks
        assert sqnr.status == "pass" and drop.value == pytest.approx(lost)
        assert (drop.value <= bound) == is_kept and drop.status != ("fail" if is_kept else "pass")
    same = compare_diagnoses(stored, stored)
    assert same.layers and not (same.changed or same.missing or same.new or same.differences)
    int8 = load_preset("int8")
    other = replace(stored, measurement=replace(stored.measurement, scheme=int8))
    differences = [one.name for one in compare_diagnoses(stored, other).differences]
    assert ("scheme.name" in differences) == (stored.measurement.scheme != int8)


def test_ranges_show_the_same_quantizers(diagnosed: Diagnosis) -> None:
    measured = diagnosed.measurement
    found = qdiag.ranges(network(), IMAGES, scheme=measured.scheme.name)
    assert found.scheme == measured.scheme and found.size == measured.size
    by_name = {record.name: record for record in measured.records}
    seen = {(row.layer, row.role): row.quantizer for row in found.records}
    for (layer, role), quantizer in seen.items():
        record = by_name[layer]
        weight = record.weight.quantizer if record.weight is not None else None
        assert quantizer == (weight if role == "weight" else record.quantizer), (layer, role)
    assert any(seen.values())
    rows = list(csv.DictReader(io.StringIO(range_csv(found))))
    assert [row["bits"] for row in rows] == [str(q.bits) if q is not None else "" for q in seen.values()]
    for record in found.records:
        bits = record.median_channel_bits
        assert math.isnan(bits) or (record.has_one_range and record.quantizer is not None)
        if not math.isnan(bits) and record.quantizer is not None and record.quantizer.scale is not None:
            assert record.channels is not None
            assert bits == pytest.approx(record.quantizer.bits - record.channels.spread_bits)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_which_formats_it_has(name: str) -> None:
    scheme = load_preset(name)
    for one in (scheme.weights, scheme.activations):
        assert "float" in tensor_scheme_words(one) if one.type in ("float", "block_float") else True
