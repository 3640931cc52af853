"""The table of repairs against what the repairs do: a trait that is wrong would send a placebo to the wrong place."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import TRAITS, WRITTEN, RepairTraits, Scope
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.errors import RepairRefused
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.rank.placebo import placebo_sites
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.passes.fingerprints import Fingerprints
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.subject import Subject
from tests.cases import open_test_case
from tests.networks.branches import RepVGGBlock

IMAGES = torch.randn(12, 3, 10, 10, generator=torch.Generator().manual_seed(1))
OTHERS = 2.0 * torch.randn(6, 3, 10, 10, generator=torch.Generator().manual_seed(2))
Sites = tuple[FindingSite, FindingSite, FindingSite]
"""A finding, other channels of the same layer, and the same channels of another one; outputs, or inputs of weights."""
SITES: Sites = FindingSite("0", (1,)), FindingSite("0", (4,)), FindingSite("6", (1,))

STARTS: dict[str, tuple[str, ...]] = {
    "absorb_identity": ("tf-uint8",),
    "asymmetric_activations": ("int16x8", "activations.narrow_range=true"),
    "center_weights": ("int8", "weights.type=binary", "weights.bits=1"),
    "clip_activations_entropy": ("int8", "activations.calibrator=percentile", "activations.percentile=90"),
    "clip_sign_scale": ("int8", "weights.type=binary", "weights.bits=1", "weights.scale=float32"),
    "clip_weights": ("tf-uint8",),
    "correct_bias": ("tf-uint8",),
    "cover_range": ("int8", "activations.calibrator=percentile", "activations.percentile=90"),
    "cover_weights": ("int8", "weights.calibrator=mse"),
    "eight_bits": ("int8", "weights.type=binary", "weights.bits=1"),
    "equalize": ("tf-uint8",),
    "fold_batchnorm": ("int8", "fold_batchnorm=false"),
    "per_channel_weights": ("tf-uint8",),
    "scale_signs": ("int8", "weights.type=binary", "weights.bits=1"),
    "wide_accumulator": ("int8", "accumulator_bits=16", "pair_saturation=true"),
}
"""Preset and settings under which there is something to repair; `int8` does for all others."""


class Net(nn.Sequential):
    """Three convolutions with BatchNorm and ReLU6. Channels 1 and 4 have hardly any weight, and a bias all the same."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(
                *(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU6()),
                *(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU6()),
                *(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU6()),
                *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU6()),
            )
            with torch.no_grad():
                for i in (0, 3, 6):
                    self[i].weight[[1, 4]] *= 1e-12
                    self[i].weight[2] *= 9.0
                    self[i].bias[[1, 4]] = 1.5
                    self[i + 1].running_var.uniform_(1.0, 3.0)
        self.eval()


class Idle(Net):
    """Channels 1 and 4 are never above zero, and the weights that read them are far larger than all others."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            for i in (3, 6):
                self[i].weight[:, [1, 4]] *= 90.0
                self[i - 3].bias[[1, 4]] = -1.5


class Faint(Net):
    """Channels 1 and 4 hardly move, and the weights that read them make up for it."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            for i in (0, 3, 6):
                self[i].weight[[1, 4]] = self[i].weight[[0, 3]].clone()
                self[i].bias[[1, 4]] = 0.0
                self[i + 1].weight[[1, 4]] *= 0.01
            for i in (3, 6):
                self[i].weight[:, [1, 4]] *= 90.0


class Branched(nn.Sequential):
    """Two blocks of parallel linear branches."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(RepVGGBlock(3, 6), RepVGGBlock(6, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.eval()


class Outliers(Net):
    """In each channel one weight is far larger than all others."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            for i in (0, 3, 6):
                self[i].weight[:, 0, 1, 1] *= 100.0


class Masked(nn.Module):
    """Three times scores with a mask far below them, as in attention."""

    def __init__(self) -> None:
        super().__init__()
        mask = torch.zeros(10)
        mask[7:] = -1e4
        self.register_buffer("mask", mask)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = (x + self.mask).softmax(-1)
        return x


class Joined(nn.Module):
    """Three outputs, each a concat."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.cat((x.sigmoid() * gain, x.tanh()), 1) for gain in (10.0, 20.0, 30.0))


class Sensors(nn.Module):
    """Two inputs, each of three channels in units of their own."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__()
            self.left, self.right, self.out = nn.Linear(3, 6), nn.Linear(3, 6), nn.Linear(6, 4)
        self.eval()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.out((self.left(a) + self.right(b)).relu())


class Units(nn.Module):
    """Two outputs, each of three channels in units of their own."""

    def __init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__()
            self.mix, self.left, self.right = nn.Linear(3, 6), nn.Linear(6, 3), nn.Linear(6, 3)
            with torch.no_grad():
                for layer in (self.left, self.right):
                    layer.weight *= torch.tensor([[100.0], [1.0], [0.1]])
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.mix(x).relu()
        return self.left(y), self.right(y)


def readings(seed: int) -> list[dict[str, Tensor]]:
    generator, units = torch.Generator().manual_seed(seed), torch.tensor([100.0, 1.0, 0.1])
    return [{name: torch.randn(16, 3, generator=generator) * units for name in ("a", "b")}]


@dataclass(frozen=True)
class Start:
    """A network, places in it, and data to calibrate and to measure on."""

    net_type: type[nn.Module] = Net
    sites: Sites = SITES
    data: tuple[object, object] = (IMAGES, OTHERS)


OTHER_NETWORKS = {
    "absorb_identity": Start(
        Faint, (FindingSite("3", inputs=(1,)), FindingSite("3", inputs=(4,)), FindingSite("6", inputs=(1,)))
    ),
    "fuse_branches": Start(
        Branched,
        (
            FindingSite("0.rbr_dense.conv", (1,)),
            FindingSite("0.rbr_dense.conv", (4,)),
            FindingSite("1.rbr_1x1.conv", (1,)),
        ),
    ),
    "clip_idle_weights": Start(
        Idle, (FindingSite("3", inputs=(1,)), FindingSite("3", inputs=(4,)), FindingSite("6", inputs=(1,)))
    ),
    "clip_sign_scale": Start(Outliers),
    "bound_mask": Start(Masked, (FindingSite("add", (1,)), FindingSite("add", (2,)), FindingSite("add#3", (1,)))),
    "scale_output_channels": Start(
        Units,
        (FindingSite("left", (1,)), FindingSite("left", (2,)), FindingSite("right", (1,))),
        (torch.randn(16, 3, generator=torch.Generator().manual_seed(1)), torch.ones(4, 3)),
    ),
    "scale_input_channels": Start(
        Sensors,
        (FindingSite("input:a", (1,)), FindingSite("input:a", (2,)), FindingSite("input:b", (1,))),
        (readings(1), readings(2)),
    ),
    "split_concat": Start(
        Joined, (FindingSite("concat", (1,)), FindingSite("concat", (2,)), FindingSite("concat#3", (1,)))
    ),
}
"""Starts for repairs that find nothing to do in `Net`."""


@cache
def opened(*start: str, of: str = "") -> tuple[Case, RepairContext]:
    found = OTHER_NETWORKS.get(of, Start())
    net, (calibration, measured) = found.net_type(), found.data
    context = RepairContext(audit_batchnorms(Subject(net, "module", "net", "Net")), is_local=True)
    return open_test_case(net, calibration, load_scheme(start[0], start[1:]), measured=measured), context


def start_of(name: str) -> tuple[Case, RepairContext]:
    return opened(*STARTS.get(name, ("int8",)), of=name if name in OTHER_NETWORKS else "")


def sites_of(name: str) -> Sites:
    return OTHER_NETWORKS.get(name, Start()).sites


@cache
def treated(name: str, *sites: FindingSite) -> Treatment:
    case, context = start_of(name)
    return REPAIRS[name].apply(case, sites, context)


def network_of(case: Case) -> str:
    """Equal for cases that compute the same."""
    return Fingerprints().of((case.network, case.plan))


def check_placebo(traits: RepairTraits) -> None:
    """The same treatment elsewhere, as close to the finding as there is an elsewhere; none where there is not."""
    case, _ = start_of(traits.name)
    finding, same_layer, other_layer = sites_of(traits.name)
    done = network_of(treated(traits.name, finding).case)
    takes_channels = network_of(treated(traits.name, same_layer).case) != done
    takes_layers = network_of(treated(traits.name, other_layer).case) != done
    place = "weight" if case.network.graph.layer(finding.layer).weight is not None else "output"
    sites = placebo_sites(traits, [finding], place, case, taken=frozenset({finding.layer}), seed=0)
    assert bool(sites) == (takes_channels or takes_layers)
    for site in sites:
        assert not takes_channels or site.layer == finding.layer, "other layers are no fair comparison"
        try:
            placebo = network_of(treated(traits.name, site).case)
        except RepairRefused:  # there it has nothing to do, which is said of the placebo
            continue
        assert placebo not in (done, network_of(case)), "it is the repair itself, or nothing"


def test_every_repair_has_traits() -> None:
    assert list(TRAITS) == list(REPAIRS)


@pytest.mark.parametrize("traits", TRAITS.values(), ids=lambda traits: traits.name)
def test_the_placebo_is_drawn_where_the_repair_is_another(traits: RepairTraits) -> None:
    check_placebo(traits)


@pytest.mark.parametrize("traits", TRAITS.values(), ids=lambda traits: traits.name)
def test_a_wrong_scope_does_not_pass(traits: RepairTraits) -> None:
    for scope in get_args(Scope):
        if scope != traits.scope:
            with pytest.raises(AssertionError):
                check_placebo(replace(traits, scope=scope))


@pytest.mark.parametrize("traits", TRAITS.values(), ids=lambda traits: traits.name)
def test_what_it_writes_and_whether_the_scheme_stays(traits: RepairTraits) -> None:
    case, _ = start_of(traits.name)
    done = treated(traits.name, sites_of(traits.name)[0])
    assert bool(done.tensors) == (traits.writes == "tensors")
    assert changes_code(case, done.case) == (traits.writes in ("code", "graph"))
    before, after = dict(formats(case)), dict(formats(done.case))
    assert traits.keeps_scheme == all(before[name] == after[name] for name in before if name in after)
    is_written = traits.writes in ("tensors", "graph")
    assert (traits.why_not_written is None) == is_written == (traits.name in WRITTEN)
    assert done.moves_float or not moves(case, done.case)


def test_both_kinds_of_code_are_walked() -> None:
    """One that gives another float network, and one that gives the same."""
    moved = {
        traits.name: moves(start_of(traits.name)[0], treated(traits.name, sites_of(traits.name)[0]).case)
        for traits in TRAITS.values()
        if traits.writes == "code"
    }
    assert set(moved.values()) == {True, False}, moved


def changes_code(case: Case, done: Case) -> bool:
    """Operations of the network as it was captured, or the bounds of its activations, are others."""
    graphs = [Fingerprints().of(one.program.graph) for one in (case, done)]
    return graphs[0] != graphs[1] or case.clamps != done.clamps


def moves(case: Case, done: Case) -> bool:
    """The float network gives something else, beyond rounding."""
    before, after = (float_outputs(one) for one in (case, done))
    return bool((after - before).abs().max() > 1e-5 * before.abs().max())


def float_outputs(case: Case) -> Tensor:
    runner = LaneRunner([Lane(case.network)])
    with engine_arithmetic():
        return torch.cat([pick(runner.run_batch(batch), REFERENCE)[0] for batch in case.measured])


def formats(case: Case) -> Iterator[tuple[str, object]]:
    """Of the scheme and of every layer: whichever numbers the range is chosen to be, the integers are of this kind."""
    scheme: QuantScheme = case.scheme
    yield "", (scheme.accumulator_bits, scheme.pair_saturation)
    for layer in case.network.graph.layers:
        tensors = kind_of(scheme.weights_of(layer.name)), kind_of(scheme.activations_of(layer.name))
        yield layer.name, (case.plan.layers[layer.name].float_reason, scheme.bias_of(layer.name), *tensors)


def kind_of(tensor: TensorScheme) -> TensorScheme:
    return replace(tensor, calibrator="minmax", percentile=99.9, range=None)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_fits_the_rounding_of_one_scheme_comes_last(name: str) -> None:
    results = []
    for setting in ("weights.bits=8", "weights.bits=4"):
        case, context = opened("tf-uint8", setting, of=name if name in OTHER_NETWORKS else "")
        results.append(REPAIRS[name].apply(case, [sites_of(name)[0]], context).tensors)
    fine, coarse = results
    assert TRAITS[name].must_be_last == any(not torch.equal(fine[key], coarse[key]) for key in fine)


@pytest.mark.parametrize("name", [traits.name for traits in TRAITS.values() if traits.helps_anywhere])
def test_what_helps_anywhere_can_be_made_at_all_weights(name: str) -> None:
    case, context = start_of(name)
    sites = [FindingSite(layer.name) for layer in case.network.graph.layers if layer.weight is not None]
    assert REPAIRS[name].apply(case, sites, context).layers


def test_no_other_file_knows_a_repair_by_its_name() -> None:
    """The table and the file that makes a repair apart; detectors name what would help."""
    root = Path(qdiag.__file__).parent
    found = [
        f"{file.relative_to(root)}:{line} {name}"
        for file in sorted(root.rglob("*.py"))
        for name, line in names_in(file)
        if file != root / "core/causes/repair_traits.py"
    ]
    assert found == []


def names_in(file: Path) -> Iterator[tuple[str, int]]:
    text = file.read_text(encoding="utf-8")
    if not any(name in text for name in TRAITS):
        return
    tree = ast.parse(text)
    allowed: set[int] = set()
    for node in ast.walk(tree):
        own = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Repair"
        target = node.target if isinstance(node, ast.AnnAssign) else None
        listed = isinstance(target, ast.Name) and target.id == "REPAIRS" and file.parent.parent.name == "detectors"
        if own or listed:
            allowed.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in TRAITS and id(node) not in allowed:
            yield str(node.value), node.lineno
