"""ONNX files of published packages: read, captured, and compared with onnxruntime; none of their operations is unknown.

`pip install --no-deps rapidocr-onnxruntime rapidocr nudenet silero-vad` brings them, or a folder that
QDIAG_ONNX_FILES names. What is absent is skipped.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx_ir")
import onnxruntime as ort
import torch

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Runner
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.loaders.models.formats import load_subject
from tests.networks.onnx_files import Array

RNG = np.random.default_rng(0)
FILES: dict[str, tuple[str, tuple[int, ...], frozenset[str]]] = {
    "ch_PP-OCRv4_det_infer.onnx": ("rapidocr_onnxruntime", (3, 64, 96), frozenset()),
    "ch_PP-OCRv4_rec_infer.onnx": ("rapidocr_onnxruntime", (3, 48, 96), frozenset()),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ("rapidocr_onnxruntime", (3, 48, 192), frozenset()),
    "PP-OCRv6_det_small.onnx": ("rapidocr", (3, 64, 96), frozenset()),
    "PP-OCRv6_rec_small.onnx": ("rapidocr", (3, 48, 96), frozenset()),
    "320n.onnx": ("nudenet", (3, 96, 64), frozenset()),
}
"""By name: its package, the shape of one sample, and the operations that run in float."""


def place(name: str, package: str) -> Path:
    """Where the file is; the test is skipped where it is nowhere."""
    folders = [Path(os.environ["QDIAG_ONNX_FILES"])] if "QDIAG_ONNX_FILES" in os.environ else []
    spec = importlib.util.find_spec(package)
    folders += [Path(part) for part in (spec.submodule_search_locations or [])] if spec is not None else []
    found = next((path for folder in folders for path in sorted(folder.rglob(name))), None)
    if found is None:
        pytest.skip(f"{package} is not installed, and QDIAG_ONNX_FILES does not name a folder with {name}")
    return found


def same(path: Path, feed: dict[str, Array], given: Batch, tolerance: float) -> set[str]:
    """Operations in float of a captured graph whose outputs are those of onnxruntime."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    expected = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feed)
    program = capture(load_subject(path), given)
    assert not program.skipped and program.batch_size is None
    with torch.no_grad():
        program = fold_batchnorms(fold_computed(program)).program
        found = Runner(program)(given.args, dict(given.kwargs))
    for value, output in zip(expected, found, strict=True):
        assert np.abs(value - output.numpy()).max() <= tolerance * max(np.abs(value).max(), 0.05)
    return {layer.ops[0] for layer in group_layers(program).layers if layer.policy == "float"}


@pytest.mark.parametrize("name", FILES)
def test_a_network_of_images(name: str) -> None:
    package, shape, in_float = FILES[name]
    x = RNG.uniform(-1.0, 1.0, (2, *shape)).astype(np.float32)
    path = place(name, package)
    names = [i.name for i in ort.InferenceSession(path).get_inputs()]
    assert same(path, {names[0]: x}, Batch((torch.from_numpy(x),)), 2e-5) == in_float


def test_a_voice_detector_with_a_state_and_a_rate() -> None:
    path = place("silero_vad.onnx", "silero_vad")
    feed = {
        "input": RNG.uniform(-0.3, 0.3, (3, 576)).astype(np.float32),
        "state": RNG.uniform(-0.3, 0.3, (2, 3, 128)).astype(np.float32),
        "sr": np.asarray(16000),
    }
    kwargs = {"input": torch.from_numpy(feed["input"]), "state": torch.from_numpy(feed["state"]), "sr": 16000}
    assert same(path, feed, Batch((), kwargs), 1e-5) == {"lstm"}
