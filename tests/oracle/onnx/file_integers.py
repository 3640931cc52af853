"""A quantized file simulated by the rules of onnxruntime, and run by it: every integer that both have, compared."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime.quantization as quantization
import torch

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.loaders.data.sources import batches_from
from qdiag.onnx.load import load_network
from qdiag.pipeline.begin import begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.verify.deployed_run import DeployedRun
from qdiag.pipeline.verify.integers import IntegerComparison
from qdiag.pipeline.verify.verify import integer_names, with_arithmetic
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.passes.lanes import Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.subject import Subject

Feeds = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Compared:
    """What was compared.

    Attributes:
        counts: integers by layer. differing: of those, where there are any. reasons: why layers may differ.
    """

    counts: dict[str, int]
    differing: dict[str, int]
    reasons: dict[str, str]


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Feeds) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Any:
        return next(self._feeds, None)


def quantized(content: bytes, feeds: Feeds, **options: Any) -> bytes:
    """The file as `quantize_static` writes it."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(content)
        quantization.quantize_static(before, after, _Reader(feeds), **options)
        return after.read_bytes()


def compared(content: bytes, feeds: Feeds, floating: bytes | None = None) -> Compared:
    """Every integer of a file.

    Args:
        floating: the network that it was made from; None measures the file alone.
    """
    file = Subject(load_network(content, "int8.onnx").eval(), "onnx", "int8.onnx", "ONNX")
    batches = batches_from([Batch((), {n: torch.from_numpy(value) for n, value in feed.items()}) for feed in feeds])
    session, data, scheme = Session(), Datasets(batches, batches, "the same"), load_preset("int8")
    if floating is None:
        experiment = begin(session, file, data, scheme)
    else:
        network = load_network(floating, "net.onnx", kept=quantized_tensors(file)).eval()
        experiment = begin(session, Subject(network, "onnx", "net.onnx", "ONNX"), data, scheme, quantized=file)
    case, deployed = with_arithmetic(session, experiment, "ort").case, OnnxruntimeNetwork(content)
    comparison = IntegerComparison(case, integer_names(experiment, deployed), deployed, 1)
    run = DeployedRun(case.network.program, deployed, tuple(dict.fromkeys(comparison.names.values())))
    runner = LaneRunner([Lane(case.network), Lane(case.network, case.plan)], [comparison])
    for batch in case.measured:
        _, integers = run(batch, pick(runner.run_batch(batch), 0))
        comparison.compare(integers)
    found = comparison.agreements()
    return Compared(
        {one.layer: one.count for one in found},
        {one.layer: one.differing_count for one in found if one.differing_count},
        {one.layer: one.reason for one in found if one.reason is not None},
    )
