"""`qdiag overlay`: colours for Model Explorer, and figures at the nodes of an ONNX file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdiag.cli.app import run
from qdiag.errors import ConfigError
from qdiag.reading.colours import CAUSE_SHADE, decibel_shade
from qdiag.reading.layer_colours import layer_colours
from qdiag.reading.node_words import node_words
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, healthy_diagnosis

onnx = pytest.importorskip("onnx")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "diagnosis.json"
    path.write_text(diagnosis_to_json(diagnosis()), encoding="utf-8")
    return path


def same_network(layers: list[str]) -> Any:
    """A chain of ReLUs whose nodes have names of layers; the last has none, and its output has."""
    names = [f"{name}" for name in layers]
    nodes = [
        onnx.helper.make_node("Relu", [["x", *names][i]], [name], name=name if i < len(names) - 1 else "")
        for i, name in enumerate(names)
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "net", [value("x", onnx.TensorProto.FLOAT, [1])], [value(names[-1], onnx.TensorProto.FLOAT, [1])]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


def test_colours_for_model_explorer(stored: Path, tmp_path: Path) -> None:
    output = tmp_path / "layers.json"
    assert run(["overlay", str(stored), "-o", str(output)]) == 0
    results = json.loads(output.read_text(encoding="utf-8"))["results"]
    for record in diagnosis().measurement.records:
        if record.is_quantized and not np.isnan(record.local.sqnr_db):
            assert results[record.name]["bgColor"] == decibel_shade(record.local.sqnr_db).fill
            if np.isfinite(record.local.sqnr_db):
                assert results[record.name]["value"] == pytest.approx(record.local.sqnr_db, abs=1e-3)
    assert run(["overlay", str(stored), "-o", str(output), "--show", "cause"]) == 0
    results = json.loads(output.read_text(encoding="utf-8"))["results"]
    at_fault = {layer for cause in diagnosis().ranking.claimed for layer in cause.layers}
    assert {name for name, found in results.items() if found["bgColor"] == CAUSE_SHADE.fill} == at_fault


def test_figures_at_the_nodes_of_an_onnx_file(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [record for record in diagnosis().measurement.records if record.ops][:4]
    before = same_network([record.name for record in records])
    model, output = tmp_path / "net.onnx", tmp_path / "seen.onnx"
    model.write_bytes(before.SerializeToString())
    for source in (model, output):  # words that were there already are replaced
        target = output if source == model else tmp_path / "again.onnx"
        assert run(["overlay", str(stored), "--model", str(source), "-o", str(target)]) == 0
    assert "4 of " in capsys.readouterr().out
    assert output.read_bytes() == (tmp_path / "again.onnx").read_bytes()
    after = onnx.load(output)
    for record, node in zip(records, after.graph.node, strict=True):
        told = {prop.key: prop.value for prop in node.metadata_props}
        shade = decibel_shade(record.local.sqnr_db).fill
        assert told["qdiag local"] == f"{record.local.sqnr_db:.1f} dB local SQNR, colour {shade}"
        assert max(map(len, told)) <= 16, "Netron shows no more of a name, and two would look alike"
        del node.metadata_props[:]
    assert after == before


def test_another_network_is_an_error(stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(same_network(["other"]).SerializeToString())
    assert run(["overlay", str(stored), "--model", str(model), "-o", str(tmp_path / "o.onnx")]) == 2
    assert "no node of this network" in capsys.readouterr().err
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize(("options", "told"), [(["-o", "x.txt"], "no viewer"), (["-o", "x.onnx"], "--model")])
def test_wrong_usage(stored: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["overlay", str(stored), *options]) == 2
    assert told in capsys.readouterr().err


def test_colours_of_the_repaired_network(stored: Path, tmp_path: Path) -> None:
    output, found = tmp_path / "layers.json", diagnosis()
    assert run(["overlay", str(stored), "-o", str(output), "--show", "repaired"]) == 0
    values = {layer: node["value"] for layer, node in json.loads(output.read_text())["results"].items()}
    assert found.repaired_network is not None
    for record in found.repaired_network.records:
        if record.is_quantized:
            assert values[record.name] == round(record.local.sqnr_db, 3)
    after = {record.name: record.local.sqnr_db for record in found.repaired_network.records}
    told = node_words(found)["blocks.0.dw"]["repaired"]
    assert told.startswith(f"{after['blocks.0.dw']:.1f} dB local SQNR after the repairs, colour #")
    with pytest.raises(ConfigError, match="no repaired network"):
        layer_colours(replace(found, repaired_network=None), "repaired")


def test_sensitivities_that_were_not_measured() -> None:
    with pytest.raises(ConfigError, match="no sensitivities"):
        layer_colours(replace(healthy_diagnosis(), sensitivity=None), "sensitivity")
