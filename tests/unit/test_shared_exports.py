"""What tests share instead of exporting anew is what `torch.export` would have given them."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.batches import Batch
from qdiag.capture import routes
from tests.exports import SharedExports
from tests.models import KINDS


class Counted:
    """The real export, and how often it ran."""

    def __init__(self) -> None:
        self.count = 0
        shared = routes._exported
        assert isinstance(shared, SharedExports)
        self.export = shared.export

    def __call__(self, model: nn.Module, example: Batch, *, dynamic: bool) -> ExportedProgram:
        self.count += 1
        return self.export(model, example, dynamic=dynamic)


@pytest.fixture
def real() -> Counted:
    return Counted()


@pytest.fixture
def shared(real: Counted) -> SharedExports:
    return SharedExports(real)


def changed(model: nn.Module) -> nn.Module:
    """The same network with other weights."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model


@pytest.mark.parametrize("name", ["plain", "shared", "dictionary", "two_inputs", "aliasing", "buffer_constant"])
def test_the_program_of_another_test_on_the_tensors_of_this_one(
    name: str, real: Counted, shared: SharedExports
) -> None:
    kind = KINDS[name]
    shared(kind.build(), Batch(*kind.inputs(2, 0)), dynamic=True)
    model, example = changed(kind.build()), Batch(*kind.inputs(2, 1))
    found = shared(model, example, dynamic=True)
    assert real.count == 1
    anew = real.export(model, example, dynamic=True)
    assert found.graph_module.code == anew.graph_module.code
    assert str(found.graph_signature) == str(anew.graph_signature)
    assert sorted(map(str, found.range_constraints.values())) == sorted(map(str, anew.range_constraints.values()))
    for ours, theirs in ((found.state_dict, anew.state_dict), (found.constants, anew.constants)):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            is_own = any(value is tensor for tensor in [*model.parameters(), *model.buffers()])
            assert ours[name] is value if is_own else torch.equal(ours[name], value)
    args, kwargs = kind.inputs(3, 2)
    with torch.no_grad():
        torch.testing.assert_close(found.module()(*args, **kwargs), anew.module()(*args, **kwargs), rtol=0.0, atol=0.0)


def test_a_program_that_somebody_changed_is_noticed(shared: SharedExports) -> None:
    kind = KINDS["plain"]
    example = Batch(*kind.inputs(2, 0))
    program = shared(kind.build(), example, dynamic=True)
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    node.target = torch.ops.aten.sigmoid.default
    with pytest.raises(AssertionError, match="changed a program"):
        shared(kind.build(), example, dynamic=True)


class Net(nn.Module):
    """What it computes follows from an attribute and from its weights' shape."""

    def __init__(self, width: int, power: float) -> None:
        super().__init__()
        self.layer, self.power = nn.Linear(3, width), power

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) ** self.power


def test_what_export_sees_makes_another_program(real: Counted, shared: SharedExports) -> None:
    x = torch.ones(2, 3)
    functional = Net(4, 2.0)
    functional.forward = lambda x: x  # type: ignore[method-assign]
    models = [Net(4, 2.0), Net(5, 2.0), Net(4, 3.0), Net(4, 2.0).train(False), Net(4, 2.0).double(), functional]
    for model in models:
        example = Batch((x.to(next(model.parameters()).dtype),))
        shared(model, example, dynamic=True)
        shared(model, example, dynamic=False)
        shared(model, Batch((example.args[0][:, :, None].expand(2, 3, 3),)), dynamic=True)
    assert real.count == 3 * len(models)
    shared(functional, Batch((x,)), dynamic=True)
    assert real.count == 3 * len(models) + 1, "functions of a test cannot be told, and are not shared"


def test_what_needs_a_gradient_makes_no_other_program(real: Counted, shared: SharedExports) -> None:
    frozen = Net(4, 2.0).requires_grad_(False)
    example = Batch((torch.ones(2, 3),))
    graphs = [real(model, example, dynamic=True).graph for model in (Net(4, 2.0), frozen)]
    assert str(graphs[0]) == str(graphs[1])
    assert real.count == 2
    assert shared(Net(4, 2.0), example, dynamic=True).state_dict["layer.weight"].requires_grad
    found = shared(frozen, example, dynamic=True)
    assert real.count == 3
    assert not found.state_dict["layer.weight"].requires_grad
    assert found.state_dict["layer.weight"] is frozen.layer.weight
