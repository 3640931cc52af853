"""A repaired plan written into the LiteRT file: read back it is that plan, and the runtime computes it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.config import change_scheme, load_preset
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.exporters.litert.write import write_lite
from qdiag.litert.edited.write import is_same
from qdiag.litert.read import parse
from qdiag.loaders.models.formats import load_subject
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.edits import tensor_edits
from qdiag.pipeline.deployed.repaired import RepairedFile
from qdiag.pipeline.export.formats import format_for
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.verify.verify import verify_case, with_arithmetic
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.session import Session
from qdiag.subject import Subject

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
CHANGES = {
    "in place": ["layers.block.activations.range=[0.0, 4.0]", "layers.stem.activations.range=[0.0, 4.0]"],
    "scales that no longer meet": [
        *("layers.add.activations.range=[0.0, 4.0]", "layers.concat.activations.range=[-3.0, 5.0]"),
        *("layers.block.weights.calibrator=minmax", "layers.block.weights.granularity=per_tensor"),
        "layers.head.bias=float",
    ],
    "16 bits": ["layers.stem.activations.bits=16", "layers.head.activations.bits=16"],
    "in float": [
        *('layers."input:x".activations.bits=32', "layers.block.activations.bits=32"),
        *("layers.stem.weights.bits=32", "layers.head.activations.bits=32"),
    ],
}


class Net(nn.Module):
    """Convolutions, a pooling, a sum, a concat of two scales, and a function at a scale of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = F.pad(F.max_pool2d(x, 2), (1, 1, 1, 1))
        x = torch.relu(x + self.block(x))
        head: Tensor = self.head(torch.sigmoid(torch.cat([x, y], 1)).mean((2, 3)))
        return head


def network() -> Subject:
    torch.manual_seed(0)
    return Subject(Net().eval(), "module", "net", "Net")


def opened(folder: Path, file: str) -> Experiment:
    return begin(Session(), network(), datasets_of(X, None), scheme_of("int8"), quantized=load_subject(folder / file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repaired")
    plan = begin(Session(), network(), datasets_of(X, None), scheme_of(load_preset("int8"))).case
    (made / "int8.tflite").write_bytes(write_lite(plan.network, plan.plan, Batch((X,))).content)
    return made


@pytest.fixture(scope="module")
def experiment(folder: Path) -> Experiment:
    return opened(folder, "int8.tflite")


def repaired(experiment: Experiment, after: Case) -> bytes:
    assert experiment.deployed is not None
    edits = tensor_edits(experiment.deployed, experiment.case, after)
    return RepairedFile(experiment.deployed, edits, after).content()


def verified(experiment: Experiment, content: bytes, kernels: str) -> Verification:
    """Simulation by the rules of the kernels and runtime beside the float network."""
    form, limits = format_for(kernels), VerifyLimits()
    experiment = with_arithmetic(Session(), experiment, form.arithmetic)
    return verify_case(Session(), experiment, experiment.case, form, content, None, source="", limits=limits)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_read_back_and_computed(folder: Path, experiment: Experiment, name: str) -> None:
    case = experiment.case
    after = with_scheme(Session(), case, change_scheme(case.scheme, CHANGES[name]))
    content, before = repaired(experiment, after), (folder / "int8.tflite").read_bytes()
    (folder / "fixed.tflite").write_bytes(content)
    read = opened(folder, "fixed.tflite")
    for layer in case.network.graph.layers:
        wanted, found = after.plan.layers[layer.name].output, read.case.plan.layers[layer.name].output
        assert (wanted is None) == (found is None), layer.name
        chain = (*found.before, found) if isinstance(found, InTurn) else (found,)
        if isinstance(wanted, Affine) and wanted.quant_max < 256:  # int16 has no zero points, kernels say between what
            own = [one for one in chain if isinstance(one, Affine) and one.scale == wanted.scale]
            assert own and own[0].zero_point == wanted.zero_point, layer.name
    if name == "in place":
        graphs = [parse(one, "net.tflite") for one in (before, content)]
        pairs = zip(*(graph.tensors for graph in graphs), strict=True)
        other = {a.name for a, b in pairs if not is_same(a, b)}
        assert len(content) == len(before) and other == {"stem", "max_pool2d", "pad/padded", "block", "block.bias"}
    for kernels in ("tflite-ref", "xnnpack"):
        run = verified(read, content, kernels)
        steps = {one.layer: one.largest_steps for one in run.layers}
        names = {layer.name for layer in read.case.network.graph.layers if read.case.plan.layers[layer.name].output}
        assert set(steps) == names - {one.layer for one in run.uncompared} and len(steps) >= 4
        # int16 and float kernels have no rules
        limit = {"in place": 0, "scales that no longer meet": 0}.get(name, 1)
        assert all(count <= limit for layer, count in steps.items() if layer != "head"), (kernels, steps)
        assert steps.get("head", 0) <= (512 if name == "16 bits" else limit + 1), (kernels, steps)
