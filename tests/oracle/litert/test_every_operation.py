"""Every operation that the simulator knows is written to LiteRT and computes the same, or is refused by its name."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
import torch

from qdiag.batches import Batch
from qdiag.capture.layers import group_layers
from qdiag.capture.ops import OPERATIONS, operation_name
from qdiag.capture.program import Program, Runner
from qdiag.config import load_preset
from qdiag.core.progress import NoProgress
from qdiag.errors import CaptureError
from qdiag.exporters.litert.call import OTHERWISE
from qdiag.exporters.litert.operators import OPERATORS
from qdiag.exporters.litert.write import write_lite
from qdiag.loaders.data.sources import batches_from
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import observe_network
from qdiag.simulate.passes.network import network_on
from qdiag.simulate.plan_builder import build_plan
from tests.networks.operations import CASES, SHAPES, drawn, program_of
from tests.oracle.litert.against_litert import interpreter

WITHOUT_ATEN = {"softsign"}
"""Which torch takes apart."""
SCHEME = load_preset("int8")


def operations_of(program: Program) -> list[str]:
    return [operation_name(node) for node in program.graph.nodes if node.op == "call_function"]


def test_every_operation_has_a_case() -> None:
    named = {operation.partition(",")[0].partition(".")[0] for operation in CASES}
    assert named == set(OPERATIONS) - WITHOUT_ATEN


@pytest.mark.parametrize("name", CASES)
def test_it_is_written_or_refused_by_its_name(name: str) -> None:
    axes, call = CASES[name]
    program, x = program_of(axes, call), drawn(*SHAPES[axes])
    network, plan = network_on(program, group_layers(program), torch.device("cpu")), QuantPlan(SCHEME, {})
    if set(operations_of(program)) <= set(OPERATORS):  # otherwise it is refused whatever the plan
        seen = observe_network(network, batches_from([Batch((x,))]), SCHEME, NoProgress())
        plan = build_plan(network, seen, SCHEME)
    try:
        file = write_lite(network, plan, Batch((x,)))
    except CaptureError as refused:
        assert any(operation in str(refused) for operation in operations_of(program))
        assert refused.hint == OTHERWISE
        return
    (expected,) = (one.numpy() for one in Runner(program)((x[:1] if axes > 1 else x,)))
    found, step = run_once(file.content, x[:1] if axes > 1 else x)
    both = [expected, expected.transpose(0, 2, 3, 1)] if expected.ndim == 4 else [expected]
    steps = [
        np.abs(found - one).max() / (step or np.abs(one).max() / 127.0) for one in both if one.shape == found.shape
    ]
    assert min(steps) < 4.0, "in steps of the output's quantizer"


def run_once(content: bytes, x: torch.Tensor) -> tuple[np.ndarray, float]:  # type: ignore[type-arg]
    """The output as numbers, and the step of its integers; 0 of floats."""
    network = interpreter(content)
    (given,), (made,) = network.get_input_details(), network.get_output_details()
    values = (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).numpy()
    if given["dtype"] == np.int8:
        scale, zero = given["quantization"]
        values = np.clip(np.rint(values / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    network.set_tensor(given["index"], values)
    network.invoke()
    found, (scale, zero) = network.get_tensor(made["index"]), made["quantization"]
    return ((found.astype(np.float64) - zero) * scale, scale) if found.dtype == np.int8 else (found, 0.0)
