"""BatchNorms and their layers, found the same way in every form that a model is stored in."""

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.batchnorms.of_module import norms_of_module
from qdiag.batchnorms.of_program import norms_of_program
from qdiag.batchnorms.of_script import norms_of_script
from qdiag.batchnorms.of_tensors import norms_of_tensors
from qdiag.batchnorms.sites import NormSites
from qdiag.capture.capture import program_from_export
from qdiag.capture.fold import fold_batchnorms
from qdiag.numerics.batchnorm import batch_norm_affine
from qdiag.numerics.bn_audit import folded_max_abs
from qdiag.zoo import ZOO, build
from tests.models import KINDS
from tests.networks.torch_ao import Stubbed, prepared

WITH_NORMS = sorted(
    name for name, kind in KINDS.items()
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in kind.make().modules())
)  # fmt: skip
WITHOUT_TRACE = {"aliasing"}
"""Slices that are written to stop the symbolic trace."""
NOT_BY_NAME = {"preactivation", "densenet"}
"""An activation lies between the BatchNorm and the convolution of the same name, which names do not tell."""


def pairs(sites: NormSites) -> list[tuple[Any, ...]]:
    return [
        (s.norm.name, s.call, s.pair and (s.pair.name, s.pair.kind, s.pair.direction, s.pair.not_foldable))
        for s in sites.sites
    ]


@cache
def program_of(name: str) -> ExportedProgram:
    """Each kind is exported once for all tests of this file."""
    args, kwargs = KINDS[name].inputs(2, 0)
    return torch.export.export(KINDS[name].build(), args, kwargs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", WITH_NORMS)
def test_trace_program_and_script_agree(name: str) -> None:
    kind = KINDS[name]
    model, (args, kwargs) = kind.build(), kind.inputs(2, 0)
    exported = pairs(norms_of_program(program_of(name)))
    found = norms_of_module(model)
    assert len(exported) >= 1
    assert pairs(found) == exported
    assert found.route == ("modules" if name in WITHOUT_TRACE else "fx")
    if name == "dictionary":
        return  # TorchScript has no dictionaries of different things
    assert pairs(norms_of_script(torch.jit.script(model))) == exported
    if not kwargs:
        assert pairs(norms_of_script(torch.jit.trace(model, args, check_trace=False))) == exported


@pytest.mark.parametrize("name", WITH_NORMS)
def test_folded_ranges_are_those_of_the_fold_itself(name: str) -> None:
    model = KINDS[name].build()
    folded = fold_batchnorms(program_from_export(program_of(name), "export"))
    weights = {
        f.norm: folded.program.constants[str(node.args[1].target)]
        for f in folded.folded for node in folded.program.graph.nodes if node.name == f.layer
    }  # fmt: skip
    checked = 0
    for site in norms_of_module(model).sites:
        if site.layer is None or site.pair is None or site.pair.not_foldable or site.call_count > 1:
            continue
        norm, is_before = site.norm, site.pair.direction.startswith("bn")
        assert norm.mean is not None
        assert norm.variance is not None
        gain = batch_norm_affine(norm.gamma, norm.beta, norm.mean, norm.variance, norm.eps).gain
        layout = {"output_axis": site.layer.output_axis, "is_before": is_before, "groups": site.layer.groups}
        ours = folded_max_abs(site.layer.weight, gain, **layout)  # type: ignore[arg-type]
        theirs = folded_max_abs(weights[norm.name], torch.ones_like(gain), **layout)  # type: ignore[arg-type]
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0.0)
        checked += 1
    folded_once = [f.norm for f in folded.folded if sum(g.norm == f.norm for g in folded.folded) == 1]
    assert checked == len(folded_once)


@pytest.mark.parametrize("is_sorted", [False, True], ids=["file order", "sorted"])
@pytest.mark.parametrize("name", sorted({*WITH_NORMS, *ZOO} - NOT_BY_NAME))
def test_names_and_shapes_alone_find_the_same_layers(name: str, is_sorted: bool) -> None:
    model = build(name) if name in ZOO else KINDS[name].build()
    state = model.state_dict()
    found = norms_of_tensors({key: state[key] for key in (sorted(state) if is_sorted else state)}, 1e-5)
    expected = {s.norm.name: s.pair and (s.pair.name, s.pair.direction) for s in norms_of_module(model).sites}
    assert {s.norm.name: s.pair and (s.pair.name, s.pair.direction) for s in found.sites} == expected
    assert all(s.pair is None or s.pair.certainty in ("likely", "guess") for s in found.sites)
    assert all(s.norm.eps_is_assumed for s in found.sites)


@pytest.mark.parametrize(
    ("norm", "layer"),
    [
        ("blocks.0.dw_bn", "blocks.0.dw"),
        ("conv1_bn", "conv1"),
        ("bn_conv1", "conv1"),
        ("stem.normalization", "stem.convolution"),
        ("layer1.0.norm2", "layer1.0.conv2"),
        ("features.0.1", "features.0.0"),
        ("c0.bn", "c0.conv"),
        ("batch_norm1", "conv1"),
    ],
)
def test_spellings_of_names(norm: str, layer: str) -> None:
    state = {
        f"{layer}.weight": torch.ones(4, 3, 3, 3),
        f"{norm}.weight": torch.ones(4),
        f"{norm}.running_mean": torch.zeros(4),
        f"{norm}.running_var": torch.ones(4),
        "elsewhere.conv.weight": torch.ones(4, 4, 3, 3),
    }
    (site,) = norms_of_tensors(state, 1e-5).sites
    assert site.pair is not None
    assert (site.pair.name, site.pair.certainty) == (layer, "likely")


def test_a_shape_that_does_not_fit_is_no_pair() -> None:
    state = {"conv.weight": torch.ones(5, 3, 3, 3), "bn.running_var": torch.ones(4), "bn.running_mean": torch.ones(4)}
    (site,) = norms_of_tensors(state, 1e-5).sites
    assert site.pair is None
    assert site.reason is not None


def test_norms_without_statistics_are_named_in_a_note() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.GroupNorm(2, 4))
    found = norms_of_tensors(model.state_dict(), 1e-5)
    assert found.sites == ()
    assert "2 normalizations without running statistics" in found.notes[0]
    (site,) = norms_of_module(model).sites
    assert site.norm.variance is None


def test_before_after_linear_padded_and_without_parameters() -> None:
    model = nn.Sequential(
        *(nn.BatchNorm2d(3, affine=False), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 8), nn.Dropout(), nn.BatchNorm1d(8)),
    ).eval()
    nn.init.ones_(model[3].bias)  # type: ignore[arg-type]
    first, padded, linear = norms_of_module(model).sites
    assert first.pair is not None
    assert (first.pair.name, first.pair.direction, first.pair.not_foldable) == ("1", "bn->conv", None)
    assert first.norm.gamma is None
    assert padded.pair is not None
    assert "pads with zeros" in (padded.pair.not_foldable or "")
    assert linear.pair is not None
    assert (linear.pair.name, linear.pair.direction) == ("6", "linear->bn")


class Untraced(Stubbed):
    """A network that no symbolic trace goes through."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.mean()) > 0.0 else -x)


@pytest.mark.parametrize("route", ["fx", "modules", "state dict"])
def test_norms_inside_modules_that_fold_them_in_training(route: str) -> None:
    """Those of the network before torch.ao fused and prepared it, under the names that they have now."""
    plain, trained = prepared()
    expected = norms_of_module(plain).sites
    if route == "modules":
        trained.__class__ = Untraced
    found = norms_of_tensors(trained.state_dict(), 1e-5) if route == "state dict" else norms_of_module(trained)
    assert found.route == route
    assert [site.norm.name for site in found.sites] == ["conv1.bn", "conv2.bn"]
    for own, other in zip(found.sites, expected, strict=True):
        assert own.pair is not None and other.pair is not None
        assert (own.pair.name, own.pair.direction) == (other.pair.name, other.pair.direction)
        assert own.norm.eps == other.norm.eps and own.norm.variance is not None


def test_one_norm_behind_two_layers_is_two_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.bn = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.b(self.bn(self.a(x))))

    sites = norms_of_module(Twice()).sites
    assert [(s.norm.name, s.call, s.call_count, s.pair and s.pair.name) for s in sites] == [
        ("bn", 1, 2, "a"),
        ("bn", 2, 2, "b"),
    ]


class Branching(nn.Module):
    """Looks at its data, and keeps what it saw: no symbolic trace of the whole, one of its inner part."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        self.last = x
        x = self.inner(x)
        return self.bn(self.conv(x)) if x.sum() > 0 else x


def test_without_a_trace_parts_and_module_order_serve_and_the_model_is_left_alone() -> None:
    model = Branching().train()
    before = copy.deepcopy(model.state_dict())
    found = norms_of_module(model)
    assert [(s.norm.name, s.pair and (s.pair.name, s.pair.paired_by, s.pair.certainty)) for s in found.sites] == [
        ("inner.1", ("inner.0", "graph", "certain")),
        ("bn", ("conv", "module order", "likely")),
    ]
    assert "Branching: no symbolic trace" in found.notes[0]
    assert model.seen == []
    assert not hasattr(model, "last")
    assert model.training
    assert model.bn.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
