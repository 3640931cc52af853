"""A captured program is a module again: same outputs, same names, and exported once more it is the same."""

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.program import Program
from qdiag.capture.rewrites.as_module import module_of
from qdiag.capture.routes import export_program
from qdiag.errors import CaptureError
from qdiag.subject import Subject


class Net(nn.Module):
    """A parameter, a buffer, one module called twice, and outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, 3, 3, padding=1), nn.Parameter(torch.full((3, 1, 1), 0.5))
        self.register_buffer("mask", torch.ones(4, 4))

    def forward(self, x: Tensor, *, gain: Tensor) -> dict[str, Tensor]:
        y = self.conv(self.conv(x)) * self.scale * self.mask
        return {"features": y, "logits": y.mean((2, 3)) * gain}


def _captured(network: nn.Module, batch: Batch) -> Program:
    return capture(Subject(network.eval(), "module", "net", "net"), batch)


@pytest.fixture(scope="module")
def network() -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net()


def test_arguments_outputs_and_names_stay(network: Net) -> None:
    batch = Batch((torch.randn(2, 3, 4, 4),), {"gain": torch.randn(2, 1)})
    module = module_of(_captured(network, batch))

    with torch.no_grad():
        for other in (module, export_program(module, batch).program.module()):
            found, expected = other(*batch.args, **batch.kwargs), network(*batch.args, **batch.kwargs)
            assert list(found) == ["features", "logits"]
            assert all(torch.equal(found[name], expected[name]) for name in expected)
    state, own = module.state_dict(), network.state_dict()
    assert state.keys() == own.keys() and all(torch.equal(state[name], own[name]) for name in own)
    state["conv.bias"].zero_()
    assert network.conv.bias is not None and bool((network.conv.bias != 0).any())


def test_another_batch_size_fits(network: Net) -> None:
    batch = Batch((torch.randn(2, 3, 4, 4),), {"gain": torch.randn(2, 1)})
    program = export_program(module_of(_captured(network, batch)), batch).program

    with torch.no_grad():
        assert program.module()(torch.randn(5, 3, 4, 4), gain=torch.randn(5, 1))["logits"].shape == (5, 3)


class Nested(nn.Module):
    """Takes a pair."""

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0] + pair[1]


def test_nested_arguments_are_refused() -> None:
    batch = Batch(((torch.ones(2, 3), torch.ones(2, 3)),))
    with pytest.raises(CaptureError, match="nested"):
        module_of(_captured(Nested(), batch))
