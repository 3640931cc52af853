"""Blocks of parallel linear branches are found by what they compute, and fused exactly; nothing else is found."""

import inspect
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.capture.branches.find import find_blocks
from qdiag.capture.branches.fuse import fuse_blocks
from qdiag.capture.capture import capture, largest_delta, program_from_export
from qdiag.capture.program import Program, Runner
from qdiag.loaders.data.sources import batches_from
from qdiag.subject import Subject
from qdiag.zoo import ZOO, build
from tests.networks.branches import BLOCKS, RepVGGBlock, conv_bn, randomized

_EXACT = 1e-4
"""Of the largest output; a wrong border or constant gives far more."""


def _captured(network: nn.Module, x: Tensor) -> Program:
    return capture(Subject(network.eval(), "module", "net", "net"), next(iter(batches_from(x))))


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    return {name: _captured(randomized(make()), _images(0)) for name, make in BLOCKS.items()}


def _images(seed: int, channels: int = 6) -> Tensor:
    return torch.randn(2, channels, 10, 10, generator=torch.Generator().manual_seed(seed))


def _drawn(program: Program, seed: int) -> Program:
    """The program with other weights and statistics, of any size, the variances positive."""
    generator = torch.Generator().manual_seed(seed)

    def value(name: str, old: Tensor) -> Tensor:
        if not old.is_floating_point():
            return old
        new = torch.randn(old.shape, generator=generator) * 10.0 ** float(torch.rand((), generator=generator) * 4 - 2)
        return new.abs() + 1e-3 if name.endswith("running_var") else new

    names = program.parameter_names
    return replace(program, constants={key: value(names.get(key, ""), old) for key, old in program.constants.items()})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", BLOCKS)
def test_every_kind_of_block_is_one_convolution(name: str, seed: int, programs: dict[str, Program]) -> None:
    program, x = _drawn(programs[name], seed), _images(seed)

    blocks = find_blocks(program)
    fused = fuse_blocks(program, blocks)

    assert [block.refused for block in blocks] == [None]
    targets = [str(node.target) for node in fused.program.graph.nodes if node.op == "call_function"]
    assert [target for target in targets if "conv" in target] == ["aten.conv2d.default"]
    assert not [target for target in targets if "norm" in target or "avg_pool" in target]
    _, delta = largest_delta(Runner(program)((x,)), Runner(fused.program)((x,)))
    assert delta <= _EXACT


@pytest.mark.parametrize(
    ("name", "branches"),
    [
        ("repvgg", [("rbr_identity", "identity", True), ("rbr_dense", "kxk", True), ("rbr_1x1", "1x1", True)]),
        ("repvgg S2", [("rbr_dense", "kxk", True), ("rbr_1x1", "1x1", True), ("identity", "identity", False)]),
        ("qarepvgg", [("rbr_dense", "kxk", True), ("rbr_1x1", "1x1", False), ("identity", "identity", False)]),
        ("acnet", [("square_conv", "kxk", True), ("ver_conv", "kxk", True), ("hor_conv", "kxk", True)]),
        (
            "mobileone pointwise",
            [("rbr_skip", "identity", True), ("rbr_conv.0", "1x1", True), ("rbr_conv.1", "1x1", True)],
        ),
        (
            "dbb",
            [
                ("dbb_origin", "kxk", True),
                ("dbb_1x1", "1x1", True),
                ("dbb_avg", "sequence", True),
                ("dbb_1x1_kxk", "sequence", True),
            ],
        ),
    ],
)
def test_branches_are_named_after_their_modules(
    name: str, branches: list[tuple[str, str, bool]], programs: dict[str, Program]
) -> None:
    (block,) = find_blocks(programs[name])

    assert [(path.name, path.kind, path.norm is not None) for path in block.paths] == branches
    assert (block.norm is not None) == (name == "qarepvgg")


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("repvgg", "rbr_reparam"),
        ("yolov7", "rbr_reparam"),
        ("mobileone", "reparam_conv"),
        ("dbb", "dbb_reparam"),
        ("acnet", "fused_conv"),
        ("scaled", "reparam"),
    ],
)
def test_the_convolution_is_called_as_the_deployed_form_calls_it(
    name: str, weight: str, programs: dict[str, Program]
) -> None:
    fused = fuse_blocks(programs[name], find_blocks(programs[name]))

    assert set(fused.modules.values()) == {weight}
    assert sorted(fused.program.parameter_names[key] for key in fused.program.constants) == [
        f"{weight}.bias",
        f"{weight}.weight",
    ]


def test_alpha_of_a_branch_by_hand(programs: dict[str, Program]) -> None:
    program = programs["repvgg"]
    tensors = {program.parameter_names[key]: value.double() for key, value in program.constants.items()}
    (block,) = find_blocks(program)

    for path, norm in zip(block.paths, ("rbr_identity", "rbr_dense.bn", "rbr_1x1.bn"), strict=True):
        alpha = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + 1e-5).sqrt()
        assert path.norm is not None
        torch.testing.assert_close(path.norm.affine.gain, alpha)
    centre = block.paths[0].whole
    assert centre is not None and block.fused is not None
    whole = tensors["rbr_dense.conv.weight"] * block.paths[1].norm.affine.gain.view(-1, 1, 1, 1)  # type: ignore[union-attr]
    whole[:, :, 1, 1] += tensors["rbr_1x1.conv.weight"][:, :, 0, 0] * block.paths[2].norm.affine.gain.view(-1, 1)  # type: ignore[union-attr]
    whole[:, :, 1, 1] += torch.diag(block.paths[0].norm.affine.gain)  # type: ignore[union-attr]
    torch.testing.assert_close(block.fused.kernel, whole)


class _Inception(nn.Module):
    """Branches that a concat joins."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three, self.pooled = conv_bn(6, 2, 1), conv_bn(6, 2, 3, padding=1), conv_bn(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.pooled(F.avg_pool2d(x, 3, 1, 1))], 1).relu()


class _Residual(nn.Module):
    """ResNet's basic block, its bottleneck's projection, and a block in front of which the norm stands."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = conv_bn(6, 6, 3, padding=1), conv_bn(6, 6, 3, padding=1)
        self.projection = conv_bn(6, 6, 1)
        self.pre = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        x = (self.second(self.first(x).relu()) + x).relu()
        x = (self.second(self.first(x).relu()) + self.projection(x)).relu()
        return x + self.pre(x)


class _Dense(nn.Module):
    """DenseNet: everything so far is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(6 + 2 * i, 2, 3, padding=1) for i in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], 1)
        return x


class _SqueezeExcite(nn.Module):
    """A gate times what it is computed from, inside a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up = conv_bn(6, 6, 3, padding=1), nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y * self.up(self.down(y.mean((2, 3), keepdim=True)).relu()).sigmoid()


class _ReadElsewhere(nn.Module):
    """A branch whose values are read again after the sum: it cannot go away."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        return (a + self.b(x)).relu() * a


class _TwoSources(nn.Module):
    """An addition of branches that start from different values."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x.relu()) + self.b(x)


@pytest.mark.parametrize("kind", [_Inception, _Residual, _Dense, _SqueezeExcite, _ReadElsewhere, _TwoSources])
def test_silent_on_networks_without_parallel_linear_branches(kind: type[nn.Module]) -> None:
    assert find_blocks(_captured(randomized(kind()), _images(0))) == ()


@pytest.mark.parametrize("name", [name for name in ZOO if "repvgg" not in name])
def test_silent_on_the_zoo(name: str) -> None:
    """By the graph alone: the weights have no values, and a block that was found could not be fused."""
    known = inspect.signature(ZOO[name]).parameters
    arguments = {key: value for key, value in (("width", 0.25), ("depth", 8)) if key in known}
    with torch.device("meta"):
        network, x = build(name, arguments), torch.empty(2, 3, 32, 32)
    exported = torch.export.export(network, (x,), strict=False)
    assert find_blocks(program_from_export(exported, "export")) == ()


class _PaddedTwice(nn.Module):
    """A linear chain with zeros in between, where one convolution would see a constant; and a block inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(6, 6, 1), RepVGGBlock(6, 6)
        self.inner.nonlinearity = nn.Identity()
        self.last = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.last(self.inner(self.first(x)))).relu()


def test_what_cannot_be_one_convolution_is_refused_and_the_block_inside_is_found() -> None:
    program, x = _captured(randomized(_PaddedTwice()), _images(0)), _images(1)

    inner, outer = find_blocks(program)

    assert inner.refused is None and inner.name == "inner"
    assert outer.fused is None and "pads with zeros in the middle" in (outer.refused or "")
    fused = fuse_blocks(program, (inner, outer))
    assert fused.modules == {"inner": "inner.rbr_reparam"}
    assert largest_delta(Runner(program)((x,)), Runner(fused.program)((x,)))[1] <= _EXACT


def test_a_batchnorm_in_training_mode_stays_outside_and_the_others_are_a_block() -> None:
    program = _captured(randomized(RepVGGBlock(6, 6)), _images(0))
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.batch_norm.default and "identity" in str(node.args[1]):
            node.update_arg(5, True)

    (block,) = find_blocks(program)

    assert [path.name for path in block.paths] == ["rbr_dense", "rbr_1x1"]


def test_found_where_the_batch_size_is_part_of_the_graph() -> None:
    """A trace, and a program exported without dynamic shapes: the frame of a diverse branch block has that size too."""
    network = randomized(BLOCKS["dbb"]())
    program = torch.export.export(network, (_images(0),))
    captured = capture(Subject(program, "exported_program", "net", "net"), next(iter(batches_from(_images(0)))))

    (block,) = find_blocks(captured)

    assert block.refused is None and [path.kind for path in block.paths] == ["kxk", "1x1", "sequence", "sequence"]


class _Unnamed(nn.Module):
    """Branches without modules of their own, around a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + F.avg_pool2d(x, 3, 1, 1) + 0.5 * x)


def test_what_has_no_module_is_called_after_its_operation() -> None:
    (block,) = find_blocks(_captured(nn.Sequential(nn.ReLU(), _Unnamed()), _images(0)))

    assert block.name == "1"
    assert [path.name for path in block.paths] == ["1.conv", "avg_pool2d", "mul"]


class _Joined(nn.Module):
    """Two branches, joined in some way."""

    def __init__(self, a: nn.Module, b: nn.Module, join: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.join = a, b, join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.a(x), self.b(x), x).relu()


_UNUSUAL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str | None]] = {
    "signals": (
        lambda: _Joined(nn.Conv1d(6, 6, 5, padding=2), nn.Conv1d(6, 6, 1), lambda a, b, x: a + b + x),
        (9,),
        None,
    ),
    "volumes": (
        lambda: _Joined(nn.Conv3d(6, 6, 3, padding=1), nn.Conv3d(6, 6, 1, groups=2), lambda a, b, _: a + b),
        (4, 5, 4),
        None,
    ),
    "even kernels": (
        lambda: _Joined(
            nn.Conv2d(6, 6, 4, padding="same"), nn.Conv2d(6, 6, 3, padding="same", dilation=2), lambda a, b, _: b + a
        ),
        (9, 9),
        None,
    ),
    "factors": (
        lambda: _Joined(
            nn.Conv2d(6, 6, 3, padding=1),
            nn.Conv2d(6, 6, 1),
            lambda a, b, x: torch.sub(torch.add(a, b, alpha=2), x, alpha=3) / 4,
        ),
        (9, 9),
        None,
    ),
    "a mean": (
        lambda: _Joined(
            nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1), lambda a, b, _: torch.stack([a, b], 1).mean(1)
        ),
        (9, 9),
        None,
    ),
    "pooling over what is there": (
        lambda: _Joined(
            nn.Conv2d(6, 6, 3, padding=1), nn.AvgPool2d(3, 1, 1, count_include_pad=False), lambda a, b, _: a + b
        ),
        (9, 9),
        "divides by another number at the borders",
    ),
    "pooling that rounds up": (
        lambda: _Joined(nn.Conv2d(6, 6, 3, 2, padding=1), nn.AvgPool2d(2, 2, ceil_mode=True), lambda a, b, _: a + b),
        (9, 9),
        "rounds the size of its output up",
    ),
    "two ways beyond the border": (
        lambda: _Joined(
            nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect"), nn.Conv2d(6, 6, 3, padding=1), lambda a, b, _: a + b
        ),
        (9, 9),
        "in different ways: reflect and zeros",
    ),
}


@pytest.mark.parametrize(("make", "sizes", "refused"), _UNUSUAL.values(), ids=_UNUSUAL)
def test_unusual_blocks_are_exact_or_refused(
    make: Callable[[], nn.Module], sizes: tuple[int, ...], refused: str | None
) -> None:
    x = torch.randn(2, 6, *sizes, generator=torch.Generator().manual_seed(0))
    program = _captured(make(), x)

    (block,) = find_blocks(program)

    assert (block.refused is None) == (refused is None) and (refused or "") in (block.refused or "")
    fused = fuse_blocks(program, [block])
    assert bool(fused.nodes) == (refused is None)
    assert largest_delta(Runner(program)((x,)), Runner(fused.program)((x,)))[1] <= _EXACT
