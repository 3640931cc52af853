"""Branches of a concat and channels are told apart at the outputs, whatever moves the values on the way."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from qdiag.capture.outputs.layout import FEW_CHANNELS, OutputLayout, output_layouts
from tests.cases import open_test_case

IMAGES = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(3))


class Head(nn.Module):
    """Boxes and scores from convolutions of their own, given to `join`."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor], boxes: int = 4, scores: int = 20) -> None:
        super().__init__()
        self.boxes, self.scores, self.join = nn.Conv2d(3, boxes, 1), nn.Conv2d(3, scores, 1), join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.boxes(x), self.scores(x))


def layout_of(model: nn.Module, inputs: Tensor = IMAGES) -> OutputLayout:
    network = open_test_case(model.eval(), inputs).network
    (layout,) = output_layouts(network.program, network.graph)
    return layout


def names(layout: OutputLayout) -> list[str]:
    return [part.name for part in layout.parts]


BOXES = [f"branch boxes, channel {c}" for c in range(4)]


def per_row(boxes: Tensor, scores: Tensor) -> Tensor:
    return torch.cat((boxes, scores), 1).flatten(2).permute(0, 2, 1)


def joined_late(boxes: Tensor, scores: Tensor) -> Tensor:
    rows = [t.permute(0, 2, 3, 1).reshape(t.shape[0], -1, t.shape[1]) for t in (boxes, scores)]
    return torch.cat(rows, 2).sigmoid() * 3.0


def cut_and_joined(boxes: Tensor, scores: Tensor) -> Tensor:
    first, second = torch.cat((boxes, scores), 1).split((12, 12), 1)
    return torch.cat((second, first), 1)


@pytest.mark.parametrize(
    ("join", "last"),
    [
        (lambda b, s: torch.cat((b, s), 1), "branch scores"),
        (lambda b, s: torch.cat((b, s), 1).exp() + 1.0, "branch scores"),
        (per_row, "branch scores"),
        (joined_late, "branch scores"),
        (lambda b, s: torch.cat((b, s), 1)[:, :, 1:, ::2], "branch scores"),
    ],
)
def test_branches_are_followed_to_the_output(join: Callable[[Tensor, Tensor], Tensor], last: str) -> None:
    found = names(layout_of(Head(join)))
    assert found == [*BOXES, last]


@pytest.mark.parametrize("join", [per_row, joined_late, cut_and_joined])
def test_a_part_holds_the_values_of_its_branch(join: Callable[[Tensor, Tensor], Tensor]) -> None:
    """A network with zeros in one branch gives zeros at the places of this branch and nowhere else."""
    model = Head(join)
    layout = layout_of(model)
    with torch.no_grad():
        for parameter in model.scores.parameters():
            parameter.zero_()
        output = model(IMAGES)
    silent = Head(lambda b, s: join(b * 0.0 + 7.0, s))
    silent.load_state_dict(model.state_dict())
    marked = silent(IMAGES) == silent(IMAGES).max()
    assert output.shape == marked.shape
    for part in layout.parts:
        assert bool(part.of(marked).all()) == part.name.startswith("branch boxes")
        assert bool(part.of(marked).any()) == part.name.startswith("branch boxes")


def test_every_value_is_in_one_part() -> None:
    for join in (per_row, joined_late, cut_and_joined):
        model = Head(join)
        layout = layout_of(model)
        numbered = torch.arange(model(IMAGES[:1]).numel()).reshape(model(IMAGES[:1]).shape)
        found = torch.cat([part.of(numbered).flatten() for part in layout.parts])
        assert torch.equal(found.sort().values, numbered.flatten())


class Written(nn.Module):
    """Places that are written into the tensor, as older detectors have it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x).sigmoid().permute(0, 2, 3, 1).contiguous()
        y[..., :2] = y[..., :2] * 640.0
        return y.reshape(y.shape[0], -1, 24)


def test_what_is_written_into_a_tensor_is_a_branch() -> None:
    layout = layout_of(Written())
    assert len(layout.parts) == 3
    sizes = sorted(part.of(torch.zeros(2, 64, 24)).shape[1] for part in layout.parts)
    assert sizes == [64, 64, 64 * 22], "two channels of places, and all others"


class Scales(nn.Module):
    """Two scales, each with boxes and scores of its own, as detectors give them."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(per_row) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.heads[0](x), self.heads[1](nn.functional.max_pool2d(x, 2))), 1)


def test_a_concat_of_concats_has_all_their_branches() -> None:
    found = names(layout_of(Scales()))
    assert len(found) == 10
    assert [name for name in found if "channel" not in name] == ["branch heads.0.scores", "branch heads.1.scores"]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Conv2d(3, 3, 1), 3),
        (nn.Conv2d(3, FEW_CHANNELS, 1), FEW_CHANNELS),
        (nn.Conv2d(3, FEW_CHANNELS + 1, 1), 0),
        (nn.Conv2d(3, 1, 1), 0),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)), 3),
        (nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(1), nn.ReLU()), 0),
        (nn.Sequential(nn.Conv2d(3, 5, 1), nn.Softmax(1)), 5),
        (Head(lambda b, s: torch.cat((b, s), 1).softmax(1)), 0),
        (Head(lambda b, s: torch.cat((b, s), 1).flatten(1).sum(1, keepdim=True)), 0),
    ],
)
def test_few_channels_are_parts_and_many_are_one_thing(model: nn.Module, expected: int) -> None:
    assert names(layout_of(model)) == [f"channel {c}" for c in range(expected)]


def test_a_batch_of_another_shape_is_not_divided() -> None:
    layout = layout_of(Head(per_row))
    assert layout.fits(torch.zeros(5, 64, 24), 5)
    assert not layout.fits(torch.zeros(5, 32, 24), 5)
    assert not layout.fits(torch.zeros(5, 64, 24), 4)
    assert layout_of(nn.Conv2d(3, 3, 1)).fits(torch.zeros(2, 3, 9, 5), 2)
