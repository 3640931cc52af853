"""The training graph beside the simulator, bit for bit, and what it leaves alone."""

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors
from qdiag.simulate.passes.lanes import Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.train.network.graph import EVALUATION, Phase, TrainingGraph
from qdiag.train.settings import TrainingSettings
from tests.cases import SESSION, assert_untouched, open_test_case, snapshot
from tests.models import KINDS
from tests.networks.binary import Functions
from tests.networks.computed import JoinedBiases
from tests.unit.train.networks import all_names, graph_of, small, stripe_case, stripes

TRAINING = Phase(uses_batch=True, follows=True, draw=1)


def batch() -> Batch:
    return Batch((stripes(16, 5)[0],))


def trained_a_little(graph: TrainingGraph, x: Batch, steps: int = 2) -> None:
    """A few plain gradient steps."""
    for _ in range(steps):
        outputs = graph.run(x, TRAINING)
        outputs[0].square().mean().backward()
        leaves = [*graph.parameters.trained(), *(found.step for found in graph.ranges.learned())]
        with torch.no_grad():
            for leaf in leaves:
                if leaf.grad is not None:
                    leaf.sub_(0.02 * leaf.grad)
                    leaf.grad = None
        graph.settle()


def simulated(case: Case, graph: TrainingGraph, x: Batch) -> Tensor:
    """What the simulator gives on the tensors and under the scheme of the graph, observed anew."""
    case = with_scheme(SESSION, with_tensors(SESSION, case, graph.changes(), recalibrate=True), graph.scheme())
    outputs = LaneRunner([Lane(case.network), Lane(case.network, case.plan)]).run_batch(x)
    found: Tensor = pick(outputs, 1)[0]
    return found


@pytest.mark.parametrize("ranges", ["moving_average", "learned"])
@pytest.mark.parametrize("scheme", ["int8", "tf-uint8", "x86-reduce-range", "xnor", "nvfp4", "log4", "fp8-e4m3", "twn"])
def test_after_training_the_simulator_gives_the_same_bit_for_bit(scheme: str, ranges: str) -> None:
    net = small()
    case = stripe_case(scheme)
    graph = graph_of(case, net, ranges=ranges)
    trained_a_little(graph, batch())
    own = graph.run(batch(), EVALUATION)[0].detach()
    assert torch.equal(own, simulated(case, graph, batch()))
    assert len(graph.changes()) >= 10


@pytest.mark.parametrize(("net", "shape", "scheme"), [(JoinedBiases, (6, 4), "int8"), (Functions, (6, 4, 6, 6), "bnn")])
def test_weights_that_forward_computes_are_trained_through(
    net: type[nn.Module], shape: tuple[int, ...], scheme: str
) -> None:
    """Joined layers, and signs that the network takes by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = net().eval(), torch.randn(shape)
    case = open_test_case(model, x, scheme)
    graph = graph_of(case, model, ranges="learned")
    trained_a_little(graph, Batch((x,)))
    assert set(graph.changes()) == set(dict(model.named_parameters()))
    assert torch.equal(graph.run(Batch((x,)))[0].detach(), simulated(case, graph, Batch((x,))))


@pytest.mark.parametrize("scheme", ["bnn", "mxfp8"])
def test_operands_that_are_rounded_as_they_are_read(scheme: str) -> None:
    """Signs that a convolution alone takes of what a shortcut reads as well, and blocks."""
    model, (args, _) = KINDS["residual"].build().eval(), KINDS["residual"].inputs(batch=3, seed=0)
    case = open_test_case(model, args[0], scheme)
    assert any(plan.operands for plan in case.plan.layers.values())
    graph = TrainingGraph(case, TrainingSettings(), all_names(model))
    trained_a_little(graph, Batch(args))
    assert {"stem.0.0.weight", "main.2.0.weight", "projection.1.bias", "fc.weight"} <= set(graph.changes())
    assert torch.equal(graph.run(Batch(args))[0].detach(), simulated(case, graph, Batch(args)))


def test_case_and_model_stay_as_they_were() -> None:
    net = small()
    own = {name: value.clone() for name, value in net.state_dict().items()}
    case = stripe_case("int8")
    before = snapshot(case)
    trained_a_little(graph_of(case, net, ranges="learned"), batch())
    assert_untouched(case, before)
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_what_may_not_move_does_not() -> None:
    """Neither parameters nor running statistics, and BatchNorms use the latter."""
    graph = TrainingGraph(stripe_case("int8"), TrainingSettings(), {"8.weight", "8.bias"})
    trained_a_little(graph, batch())
    assert set(graph.changes()) == {"8.weight", "8.bias"}


def test_in_the_delay_it_is_the_float_network_in_training() -> None:
    """Nothing is rounded, and ranges are followed all the same."""
    net = small()
    case = stripe_case("w2a2")
    graph = graph_of(case, net, averaging_constant=0.5)
    before = {name: value.clone() for name, value in graph.ranges.state().items()}
    delayed = Phase(is_quantized=False, uses_batch=True, follows=True)
    own = graph.run(batch(), delayed)[0]
    torch.testing.assert_close(own, small().train()(batch().args[0]), rtol=1e-4, atol=1e-5)
    graph.settle()
    after = graph.ranges.state()
    assert after and all(not torch.equal(after[name], value) for name, value in before.items() if "low" not in name)


def test_signs_are_drawn_anew_at_every_step_and_as_the_scheme_says_in_evaluation() -> None:
    net = small()
    case = stripe_case("bnn", "weights.stochastic_seed=7")
    graph = graph_of(case, net)
    first, second, again = (graph.run(batch(), Phase(draw=draw))[0] for draw in (1, 2, 1))
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert torch.equal(graph.run(batch())[0].detach(), simulated(case, graph, batch()))


def test_shared_memory_is_one_parameter() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.b(self.a(x).relu())
            return y

    model, x = Tied().eval(), torch.randn(8, 4)
    case = open_test_case(model, x, load_preset("int8"))
    graph = TrainingGraph(case, TrainingSettings(), all_names(model))
    assert len(graph.parameters.trained()) == 3
    trained_a_little(graph, Batch((x,)))
    assert torch.equal(graph.run(Batch((x,)))[0].detach(), simulated(case, graph, Batch((x,))))
