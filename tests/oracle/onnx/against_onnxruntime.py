"""One file through onnxruntime, through the network that is read from it, and through its captured graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.program import Program, Runner
from qdiag.onnx.load import load_network
from qdiag.subject import Subject

Array = npt.NDArray[Any]
COUNTS = (2, 5, 1)
"""Numbers of samples: the first is the one that the graph is captured with."""


def compared(
    content: bytes, feeds: list[Mapping[str, Array]], tolerance: float = 2e-6, *, is_free: bool = True
) -> Program:
    """The captured graph; it and the network give what onnxruntime gives, for each of the inputs.

    Args:
        tolerance: a difference over the largest value of an output.
        is_free: the graph holds for any number of samples.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    subject = Subject(load_network(content, "file.onnx").eval(), "onnx", "file.onnx", "ONNX")
    program = capture(subject, batch(feeds[0]))
    assert (program.batch_size is None) == is_free
    for feed in feeds:
        expected = session.run(None, dict(feed))
        given = batch(feed)
        with torch.no_grad():
            found = subject.model(*given.args, **given.kwargs)
            graph = Runner(program)(given.args, dict(given.kwargs))
        own = list(found.values()) if isinstance(found, dict) else [found]
        for what, outputs in (("network", own), ("graph", graph)):
            for value, output in zip(expected, outputs, strict=True):
                same(value, output.numpy(), tolerance, what)
    return program


def batch(feed: Mapping[str, Array]) -> Batch:
    return Batch((), {name: torch.from_numpy(value) for name, value in feed.items()})


def same(expected: Array, found: Array, tolerance: float, what: str) -> None:
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    assert found.dtype == expected.dtype, (what, found.dtype, expected.dtype)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(found), finite, err_msg=what)
    scale = float(np.abs(expected[finite]).max()) if finite.any() else 0.0
    allowed = tolerance * max(scale, 1e-30) if expected.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(found[finite], expected[finite], rtol=0.0, atol=allowed, err_msg=what)
