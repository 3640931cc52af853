"""Settings for other quantizers: `quantize_static` is run with them, the others are parsed by their own grammar."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.core.measures.deployed.settings import SettingsReport
from qdiag.errors import ConfigError
from qdiag.exporters.settings.plain_plan import PlainPlan
from qdiag.exporters.settings.quantize_static import quantize_static_settings
from qdiag.exporters.settings.tensorrt import tensorrt_settings
from qdiag.loaders.data.sources import batches_from
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.export.repaired import WantedRepair
from qdiag.pipeline.export.settings import Tool, settings_for
from qdiag.simulate.session import Session
from tests.networks.onnx_files import small_cnn

onnx = pytest.importorskip("onnx")
quantization = pytest.importorskip("onnxruntime.quantization")

FLOAT = "/block/Conv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "net.onnx").write_bytes(small_cnn())
    return folder


@pytest.fixture(scope="module")
def images() -> Any:
    import torch

    return torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def experiment(folder: Path, images: Any) -> Experiment:
    data = batches_from([Batch((images,))])
    return begin(Session(), load_subject(folder / "net.onnx"), Datasets(data, data, "the same"), load_preset("int8"))


def told(experiment: Experiment, tool: Tool) -> tuple[str, SettingsReport]:
    return settings_for(Session(), experiment, tool, [WantedRepair("keep_float", (FLOAT,))])


class _Reader:
    def __init__(self, images: Any) -> None:
        self._left = [{"x": images.numpy()}]

    def get_next(self) -> Any:
        return self._left.pop() if self._left else None


def test_quantize_static_runs_with_it(folder: Path, images: Any, experiment: Experiment) -> None:
    """The layer is in float in the file that it writes, and the activations have the scales of the plan."""
    text, report = told(experiment, "quantize_static")
    settings = json.loads(text)
    assert report.in_float == tuple(settings["nodes_to_exclude"]) == (FLOAT,)
    assert (report.has_file_names, report.not_told) == (True, ())
    overrides = settings["extra_options"]["TensorQuantOverrides"]
    assert report.range_count == len(overrides)
    arguments = {
        "quant_format": quantization.QuantFormat[settings["quant_format"]],
        "activation_type": quantization.QuantType[settings["activation_type"]],
        "weight_type": quantization.QuantType[settings["weight_type"]],
        "calibrate_method": quantization.CalibrationMethod[settings["calibrate_method"]],
        **{key: settings[key] for key in ("per_channel", "nodes_to_exclude", "extra_options")},
    }
    # as its documentation recommends, and as the plan has it, BatchNorm is folded before
    float_model = _folded(folder)
    known = {name for node in onnx.load(float_model).graph.node for name in (*node.input, *node.output)}
    arguments["extra_options"]["TensorQuantOverrides"] = {
        name: [{key: np.float32(end) for key, end in one.items()} for one in ends]
        for name, ends in overrides.items()
        if name in known
    }
    quantization.quantize_static(str(float_model), str(folder / "int8.onnx"), _Reader(images), **arguments)
    graph = onnx.load(folder / "int8.onnx").graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    # what an output of the network was before its quantizer is called after it
    scales = {
        n.input[0].removesuffix("_QuantizeLinear_Input"): constants[n.input[1]]
        for n in graph.node
        if n.op_type == "QuantizeLinear"
    }
    plan = experiment.case.plan.layers
    compared = {"x": "input:x", "c": "/stem/Conv", "r": "/block/Add", "y": "/head/Gemm"}
    for tensor, layer in compared.items():
        own: Any = plan[layer].output
        np.testing.assert_allclose(scales[tensor], own.scale.numpy(), rtol=1e-6)
    by_name = {node.name: node for node in graph.node}
    assert by_name[FLOAT].input[1] == "block.weight", "a float initializer, and no DequantizeLinear"
    assert "DequantizeLinear" in by_name["/head/Gemm"].input[1]


def _folded(folder: Path) -> Path:
    """The network with its BatchNorm folded by onnxruntime, under the names that its nodes have."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    onnxruntime.InferenceSession(folder / "net.onnx", options, providers=["CPUExecutionProvider"])
    return folder / "folded.onnx"


def test_tensorrt(experiment: Experiment) -> None:
    """The options as a shell reads them, and the grammar of trtexec: NAME:PRECISION, separated by commas."""
    text, report = told(experiment, "tensorrt")
    words = [word for line in text.splitlines() for word in shlex.split(line)]
    assert words[:2] == ["--int8", "--precisionConstraints=obey"]
    options = dict(word.removeprefix("--").split("=", 1) for word in words[1:])
    for key in ("layerPrecisions", "layerOutputTypes"):
        assert dict(pair.rsplit(":", 1) for pair in options[key].split(",")) == {FLOAT: "fp32"}
    assert report.range_count == 0
    plan = PlainPlan(load_preset("int8"), (), {}, has_file_names=True)
    assert tensorrt_settings(plan) == "--int8\n"
    with pytest.raises(ConfigError, match="separates names by commas"):
        tensorrt_settings(replace(plan, in_float=("a,b",)))


def test_openvino(experiment: Experiment) -> None:
    text, _ = told(experiment, "openvino")
    assert json.loads(text) == {"preset": "mixed", "ignored_scope": {"names": [FLOAT], "validate": True}}


def test_litert(experiment: Experiment) -> None:
    """The rules in their order, the last one that fits holds; expressions fit the names literally."""
    text, report = told(experiment, "litert")
    rules = json.loads(text)
    assert {tuple(sorted(rule)) for rule in rules} == {
        ("algorithm_key", "op_config", "operation", "regex"),
        ("algorithm_key", "operation", "regex"),
    }
    config = rules[0]["op_config"]
    assert config["compute_precision"] == "INTEGER"
    assert config["weight_tensor_config"] == {
        "num_bits": 8,
        "symmetric": True,
        "granularity": "CHANNELWISE",
        "dtype": "INT",
    }
    assert config["activation_tensor_config"]["granularity"] == "TENSORWISE"

    def algorithm(output: str) -> str:
        return [str(rule["algorithm_key"]) for rule in rules if re.search(rule["regex"], output)][-1]

    assert algorithm("model/block/Conv;add") == "no_quantize"
    assert algorithm("model/blockXConv") == "min_max_uniform_quantize"
    assert report.not_told == ()


def test_what_settings_cannot_hold(experiment: Experiment) -> None:
    """Repairs of weights are in the model; a format that quantize_static has not is refused."""
    _, report = settings_for(Session(), experiment, "openvino", [WantedRepair("clip_weights")])
    assert report.not_told == ("clip_weights",)
    scheme = load_preset("w4a8")
    plan = PlainPlan(replace(scheme, weights=replace(scheme.weights, bits=5)), (), {}, has_file_names=True)
    with pytest.raises(ConfigError, match="no weights of 5 bits"):
        quantize_static_settings(plan)
