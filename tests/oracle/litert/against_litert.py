"""One file through LiteRT's interpreter, through the network that is read from it, and through its captured graph."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.program import Program, Runner
from qdiag.litert.load import load_network
from qdiag.subject import Subject

Array = npt.NDArray[Any]
COUNTS = (2, 5, 1)
"""Numbers of samples: the first is the one that the graph is captured with."""


def interpreter(content: bytes) -> Any:
    """The runtime's own kernels, without delegates."""
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def run(content: bytes, feeds: list[Array]) -> list[Array]:
    """The outputs in their order; each sample goes through by itself, since files have a fixed size of the batch."""
    made = interpreter(content)
    found: list[list[Array]] = []
    for sample in range(len(feeds[0])):
        for described, feed in zip(made.get_input_details(), feeds, strict=True):
            made.set_tensor(described["index"], feed[sample : sample + 1])
        made.invoke()
        found.append([made.get_tensor(described["index"]) for described in made.get_output_details()])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def compared(content: bytes, draw: Any, tolerance: float = 2e-6) -> Program:
    """The captured graph; it and the network give what the interpreter gives, for several numbers of samples."""
    subject = Subject(load_network(content, "file.tflite").eval(), "litert", "file.tflite", "LiteRT")
    program = None
    for count in COUNTS:
        feeds = draw(count)
        expected = run(content, feeds)
        given = Batch(tuple(torch.from_numpy(feed) for feed in feeds))
        if program is None:
            program = capture(subject, given)
        with torch.no_grad():
            found = subject.model(*given.args)
            graph = Runner(program)(given.args, {})
        own = list(found.values()) if isinstance(found, dict) else [found]
        for what, outputs in (("network", own), ("graph", graph)):
            for value, output in zip(expected, outputs, strict=True):
                same(value, output.numpy(), tolerance, what)
    assert program is not None and not program.skipped
    return program


def same(expected: Array, found: Array, tolerance: float, what: str) -> None:
    """Images come back with their channels first."""
    if expected.ndim == 4 and found.shape != expected.shape:
        found = found.transpose(0, 2, 3, 1)
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * max(scale, 1e-30), err_msg=what)
