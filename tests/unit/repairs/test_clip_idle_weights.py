"""Weights on inputs that never move: clipped to what the others reach, and the float network stays."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.batches import Datasets
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.repair import RepairOptions, repair_model
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.overlay import with_changes
from qdiag.repairs.weights.clip_idle_weights import CLIP_IDLE_WEIGHTS
from qdiag.simulate.case import Case
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.cases import assert_untouched, open_test_case, output_sqnr_db, snapshot

IDLE = (1, 4)
GAIN = 500.0


def images(count: int = 24, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 9, 9, generator=torch.Generator().manual_seed(seed))


def chain(reader: Callable[[], nn.Module], constant: float, *between: nn.Module) -> nn.Sequential:
    """Six filters of which two give a constant, and a layer with huge weights on these."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), *between, reader(), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        net.append(nn.Flatten()).eval()
        with torch.no_grad():
            net[0].weight[list(IDLE)] = 0.0
            net[0].bias[list(IDLE)] = constant
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    for tensor in (module.weight, module.running_var):
                        tensor.uniform_(0.5, 2.0)
                    for tensor in (module.bias, module.running_mean):
                        tensor.uniform_(-0.5, 0.5)
            layer = net[2 + len(between)]
            layer = layer[0] if isinstance(layer, nn.Sequential) else layer
            inputs = layer.weight if isinstance(layer, nn.ConvTranspose2d) else layer.weight.transpose(0, 1)
            if inputs.shape[0] == 6:
                inputs[list(IDLE)] *= GAIN
            else:  # three groups of two: channels 1 and 4 are the second and the first of their groups
                layer.weight[:4, 1] *= GAIN
                layer.weight[8:, 0] *= GAIN
            last = net[2 + len(between)]
            shift = (last[1] if isinstance(last, nn.Sequential) else last).bias
            if shift is not None:  # the constants alone would be all of the output's power
                shift -= net[: 3 + len(between)](images()).mean((0, 2, 3))
    return net


READERS: dict[str, Callable[[], nn.Sequential]] = {
    "zero": lambda: chain(lambda: nn.Conv2d(6, 12, 3), -1.0),
    "zero, padded": lambda: chain(lambda: nn.Conv2d(6, 12, 3, padding=1), -1.0),
    "zero, no bias": lambda: chain(lambda: nn.Conv2d(6, 12, 3, bias=False), -1.0),
    "zero, transposed": lambda: chain(lambda: nn.ConvTranspose2d(6, 12, 2), -1.0),
    "constant": lambda: chain(lambda: nn.Conv2d(6, 12, 3), 0.7),
    "constant, grouped": lambda: chain(lambda: nn.Conv2d(6, 12, 3, groups=3), 0.7),
    "constant, norm after": lambda: chain(
        lambda: nn.Sequential(nn.Conv2d(6, 12, 3, bias=False), nn.BatchNorm2d(12)), 0.7
    ),
    "constant, norm before": lambda: chain(lambda: nn.Conv2d(6, 12, 3), 0.7, nn.BatchNorm2d(6)),
}


def layer_of(case: Case) -> str:
    return [layer.name for layer in case.network.graph.layers if layer.weight is not None][1]


def treat(case: Case, *inputs: int) -> Treatment:
    return CLIP_IDLE_WEIGHTS.apply(case, [FindingSite(layer_of(case), inputs=inputs)], RepairContext())


@pytest.mark.parametrize("preset", ["int8", "tf-uint8"])
@pytest.mark.parametrize("name", READERS)
def test_the_others_get_their_steps_back_and_the_float_network_stays(name: str, preset: str) -> None:
    net, x = READERS[name](), images()
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    case = open_test_case(net, x, preset)
    before = snapshot(case)
    done = treat(case, *IDLE)
    assert_untouched(case, before)
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    assert done.layers == (layer_of(case),) and done.moves_float
    assert output_sqnr_db(done.case) > output_sqnr_db(case) + 15.0
    subject = Subject(net, "module", "net", "Net")
    changed = with_changes(subject, done.tensors).model
    assert isinstance(changed, nn.Module)
    with torch.no_grad():
        old, new = net(x), changed(x)
    # constants and the bias against them are a thousand times the output, in float32
    bound = 0.0 if name.startswith("zero") else 5e-4
    assert float((old - new).abs().max()) <= bound * float(old.abs().max())
    assert output_sqnr_db(open_test_case(changed, x, preset)) == pytest.approx(output_sqnr_db(done.case), abs=0.5)


def test_weights_are_clipped_to_what_the_others_of_their_scale_reach() -> None:
    net = READERS["zero"]()
    old = net[2].weight.detach().clone()
    live = [c for c in range(6) if c not in IDLE]
    for preset in ("int8", "tf-uint8"):
        done = treat(open_test_case(net, images(), preset), *IDLE)
        new = done.tensors["2.weight"]
        reach = old[:, live].abs().flatten(1).amax(1)
        reach = (reach if preset == "int8" else reach.max().expand(12)).view(12, 1, 1, 1)
        assert torch.equal(new[:, live], old[:, live])
        expected = old[:, list(IDLE)].clamp(-reach, reach)
        torch.testing.assert_close(new[:, list(IDLE)], expected, rtol=1e-6, atol=0.0)
        assert done.costs[0].value == float((old[:, list(IDLE)].abs() > reach).sum())


def test_only_the_inputs_that_are_named() -> None:
    net = READERS["zero"]()
    done = treat(open_test_case(net, images(), "int8"), 4)
    moved = (done.tensors["2.weight"] != net[2].weight).flatten(2).any(2).any(0)
    assert moved.nonzero().flatten().tolist() == [4]


def test_a_layer_named_whole_and_no_layer_named() -> None:
    case = open_test_case(READERS["constant"](), images(), "int8")
    named, whole = treat(case, *IDLE), treat(case)
    everywhere = CLIP_IDLE_WEIGHTS.apply(case, (), RepairContext())
    for other in (whole, everywhere):
        assert other.tensors.keys() == named.tensors.keys() == {"2.weight", "2.bias"}
        assert all(torch.equal(other.tensors[key], named.tensors[key]) for key in named.tensors)


def test_rows_of_other_suspects_stay_as_they_are() -> None:
    case = open_test_case(READERS["zero"](), images(), "int8")
    name = layer_of(case)
    context = RepairContext(spared={name: frozenset({0, 7})})
    done = CLIP_IDLE_WEIGHTS.apply(case, [FindingSite(name, inputs=IDLE)], context)
    same = (done.tensors["2.weight"] == case.tensors["2.weight"]).flatten(1).all(1)
    assert same.nonzero().flatten().tolist() == [0, 7]


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain(lambda: nn.Conv2d(6, 12, 3, padding=1), 0.7),  # at the edges the constant is none
        lambda: chain(lambda: nn.ConvTranspose2d(6, 12, 2), 0.7),
        lambda: chain(lambda: nn.Conv2d(6, 12, 3, bias=False), 0.7),  # nothing can hold what the constant gave
    ],
    ids=["padded", "transposed", "without a bias"],
)
def test_constants_that_nothing_can_take_in_are_left_alone(make: Callable[[], nn.Sequential]) -> None:
    with pytest.raises(RepairRefused, match="no input here carries nothing"):
        treat(open_test_case(make(), images(), "int8"), *IDLE)


def test_a_channel_that_moves_once_is_left_alone() -> None:
    net = READERS["zero"]()
    with torch.no_grad():
        net[0].weight[1, 0, 1, 1] = 1e-3
        net[0].bias[1] = -1e-3 * float(images()[:, 0].max()) * 0.9
        assert 0 < int((net[:2](images())[:, 1] > 0).sum()) < 20
    case = open_test_case(net, images(), "int8")
    with pytest.raises(RepairRefused, match="no input here carries nothing"):
        treat(case, 1)


def test_other_inputs_are_no_place_for_it() -> None:
    with pytest.raises(RepairRefused, match="no input here carries nothing"):
        treat(open_test_case(READERS["zero"](), images(), "int8"), 0, 2)


def test_shared_weights_are_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.mix = nn.Linear(6, 6)
            with torch.no_grad():
                self.mix.weight[:, 1] *= GAIN

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.mix(self.mix(x).relu())
            return y

    x = torch.randn(20, 6)
    x[:, 1] = 0.0
    with pytest.raises(RepairRefused, match="serve more than one layer"):
        CLIP_IDLE_WEIGHTS.apply(open_test_case(Twice().eval(), x, "int8"), (), RepairContext())


def test_the_command_writes_it() -> None:
    """`qdiag repair --with clip_idle_weights` with the default bound on the float output."""
    net = READERS["constant"]()
    subject = Subject(net, "module", "net", "Net")
    datasets = Datasets(batches_from(images()), batches_from(images(16, 2)), "apart")
    with open_session() as session:
        options = RepairOptions(("clip_idle_weights",))
        result, changes = repair_model(session, subject, datasets, qdiag.load_scheme("tf-uint8"), options)
    (step,) = result.steps
    assert step.refused is None and step.layers == ("2",) and set(changes) == {"2.weight", "2.bias"}
    assert step.relative_delta < 5e-4
    assert result.before is not None and result.after is not None
    assert result.after.outputs[0].error.sqnr_db > result.before.outputs[0].error.sqnr_db + 15.0


def test_a_channel_that_is_alive_on_other_data_is_refused() -> None:
    net = READERS["zero"]()
    with torch.no_grad():
        net[0].weight[list(IDLE), 0] = 1.0
        net[0].bias[list(IDLE)] = -40.0
    datasets = Datasets(batches_from(images()), batches_from(images(16, 2) + 8.0), "apart")
    with open_session() as session:
        options = RepairOptions(("clip_idle_weights",))
        result, changes = repair_model(
            session, Subject(net, "module", "net", "Net"), datasets, qdiag.load_scheme("tf-uint8"), options
        )
    assert changes == {}
    assert "moves the float output" in (result.steps[0].refused or "")
