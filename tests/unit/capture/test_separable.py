"""Separable convolutions with nothing in between: exact but for the clamp, and against the zoo's variant."""

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.capture.program import Program, Runner
from qdiag.capture.rewrites.separable import SeparableBlock, find_separable, float_difference, friendly
from qdiag.subject import Subject
from qdiag.zoo import build


def images(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def program_of(network: nn.Module) -> Program:
    return capture(Subject(network.eval(), "module", "m", "m"), Batch((images(),)))


def lively(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.01, 0.05)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
    return network.eval()


class Two(nn.Module):
    """A block, and a second one whose values in between are read elsewhere too."""

    def __init__(self) -> None:
        super().__init__()
        self.dw, self.bn, self.act = nn.Conv2d(3, 3, 3, groups=3, bias=False), nn.BatchNorm2d(3), nn.ReLU6()
        self.pw = nn.Conv2d(3, 4, 1)
        self.dw2, self.act2, self.pw2 = nn.Conv2d(4, 4, 3, groups=4), nn.ReLU6(), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.nn.functional.relu6(self.pw(self.act(self.bn(self.dw(x)))))
        y = self.act2(self.dw2(x))
        z: Tensor = self.pw2(y) + y
        return z


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return lively(build("mobilenet_v1_small", {"width": 0.1, "classes": 3}))


@pytest.fixture(scope="module")
def program(network: nn.Module) -> Program:
    return program_of(network)


@pytest.fixture(scope="module")
def blocks(program: Program) -> tuple[SeparableBlock, ...]:
    return find_separable(program)


def test_every_block_is_found(blocks: tuple[SeparableBlock, ...]) -> None:
    assert [block.name for block in blocks] == [f"blocks.{i}.dw" for i in range(7)]
    assert all(block.norm and block.clamp and block.refused is None for block in blocks)


@pytest.mark.parametrize(("variant", "relu"), [("b", False), ("c", True)])
def test_it_is_the_variant_of_the_zoo_with_the_shift_in_the_next_mean(
    network: nn.Module, program: Program, blocks: tuple[SeparableBlock, ...], variant: str, relu: bool
) -> None:
    """The shift of the folded BatchNorm comes out of the pointwise convolution as a constant: the next mean."""
    state = {name: value.double() for name, value in network.state_dict().items()}
    for i in range(7):
        gain = state[f"blocks.{i}.dw_bn.weight"] / (state[f"blocks.{i}.dw_bn.running_var"] + 1e-3).sqrt()
        shift = state[f"blocks.{i}.dw_bn.bias"] - gain * state[f"blocks.{i}.dw_bn.running_mean"]
        state[f"blocks.{i}.dw.weight"] *= gain.reshape(-1, 1, 1, 1)
        state[f"blocks.{i}.pw_bn.running_mean"] -= state[f"blocks.{i}.pw.weight"][:, :, 0, 0] @ shift
    twin = build("mobilenet_v1_small", {"width": 0.1, "classes": 3, "variant": variant})
    twin.load_state_dict({name: value for name, value in state.items() if ".dw_bn." not in name})
    changed = friendly(program, blocks, relu=relu)
    x = images(3.0)
    with torch.no_grad():
        (made,) = Runner(changed)((x,))
        torch.testing.assert_close(made, twin(x), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(made, network(x), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(Runner(program)((x,))[0], network(x), rtol=1e-4, atol=1e-4)
    delta, relative = float_difference(program, changed, [Batch((x[:2],)), Batch((x[2:],))])
    with torch.no_grad():
        expected = (network(x) - made).abs()
    assert delta == pytest.approx(float(expected.max()), rel=1e-3)
    assert relative >= delta / float(network(x).detach().abs().max()) * 0.999


def test_folding_alone_moves_nothing(program: Program, blocks: tuple[SeparableBlock, ...]) -> None:
    without_clamps = [SeparableBlock(b.name, b.depthwise, b.pointwise, b.norm, None) for b in blocks]
    _, relative = float_difference(program, friendly(program, without_clamps), [Batch((images(3.0),))])
    assert 0.0 < relative < 1e-4


def test_a_block_that_is_read_in_the_middle_is_refused_and_stays() -> None:
    program = program_of(lively(Two()))
    first, second = find_separable(program)
    assert (first.name, first.refused) == ("dw", None)
    assert second.refused == "something else reads what lies between its convolutions"
    delta, _ = float_difference(program, friendly(program, [second]), [Batch((images(),))])
    assert delta == 0.0
    changed = friendly(program, [first, second], relu=True)
    names = [str(node.target) for node in changed.graph.nodes if node.op == "call_function"]
    assert not any("relu6" in name or "hardtanh" in name for name in names)
    assert sum("relu" in name for name in names) == 2, "behind the first block, and between the second's convolutions"


def test_a_batchnorm_in_training_mode_is_refused() -> None:
    network = lively(Two())
    network.get_submodule("bn").track_running_stats = False
    norm = network.get_submodule("bn")
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_mean = norm.running_var = None
    (first, _) = find_separable(program_of(network))
    assert first.refused is not None and "statistics" in first.refused
