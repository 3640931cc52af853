"""The use case: what the float network cannot bear is refused, the rest is proved on both networks."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.batches import Datasets
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.causes.repair_traits import Method
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.fix_bn import Changes, FixOptions, fix_batchnorms, fix_unproved
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from qdiag.writers.json.results import result_to_json
from tests.figures import agreeing
from tests.stored import read_back

EPS = 1e-3


class Net(nn.Module):
    """Two depthwise layers behind a shift; some of their channels are dead in training, `revived` ones are not here.

    Input channel i is constant where it is dead, so the running mean of a dead channel is what reaches it.
    """

    def __init__(self, revived: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.dw1 = nn.Conv2d(6, 6, 1, groups=6, bias=False)
        self.bn1 = nn.BatchNorm2d(6, eps=EPS)
        self.dw2 = nn.Conv2d(6, 6, 1, groups=6, bias=False)
        self.bn2 = nn.BatchNorm2d(6, eps=EPS)
        self.head = nn.Linear(6, 4)
        mask = torch.ones(6)
        mask[[1, 2]] = 0.0
        mask[list(revived)] = 1.0
        self.register_buffer("mask", mask.reshape(1, 6, 1, 1))
        with torch.no_grad():
            generator = torch.Generator().manual_seed(3)
            for layer in (self.dw1, self.dw2):
                layer.weight.copy_(1.0 + torch.rand(6, 1, 1, 1, generator=generator))
            self.head.weight.copy_(torch.randn(4, 6, generator=generator))
            self.bn1.bias.copy_(torch.rand(6, generator=generator))
            self.bn2.running_mean.copy_(self.bn1.bias * self.dw2.weight.flatten())
            for norm in (self.bn1, self.bn2):
                norm.running_var[[1, 2]] = 1e-30
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.dw1(x * self.mask))
        x = self.bn2(self.dw2(x))
        y: Tensor = self.head(x.mean((2, 3)))
        return y


def datasets(labels: bool = True) -> Datasets:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(24, 6, 4, 4, generator=generator)
    batches = batches_from((images, torch.randint(0, 4, (24,), generator=generator)) if labels else images)
    return Datasets(batches, batches, "the same")


def fixed(net: nn.Module, options: FixOptions | None = None, scheme: str = "tf-uint8") -> tuple[ModelRepair, Changes]:
    subject = Subject(net, "module", "net", "Net")
    audit = audit_batchnorms(subject)
    with open_session() as session:
        return fix_batchnorms(session, subject, audit, datasets(), qdiag.load_scheme(scheme), options or FixOptions())


@pytest.fixture(scope="module")
def healthy_fix() -> Iterator[tuple[Net, dict[str, Tensor], ModelRepair, Changes]]:
    net = Net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    yield (net, before, *fixed(net))


def test_the_model_is_bit_identical_afterwards(
    healthy_fix: tuple[Net, dict[str, Tensor], ModelRepair, Changes],
) -> None:
    net, before, _, changes = healthy_fix
    assert set(changes) == {"bn1.running_var", "bn2.running_var"}
    for name, value in net.state_dict().items():
        assert torch.equal(
            value.view(torch.uint8) if value.ndim else value,
            before[name].view(torch.uint8) if value.ndim else before[name],
        )
    assert not net.training


def test_float_stays_and_quantized_gets_better(
    healthy_fix: tuple[Net, dict[str, Tensor], ModelRepair, Changes],
) -> None:
    _, _, fix, _ = healthy_fix
    assert (fix.dead_count, fix.fixed_count, len(fix.refused_channels)) == (4, 4, 0)
    assert fix.float_change is not None
    # the gain of a dead channel, about 30 here, also multiplies the last bit of the constant that reaches it
    assert fix.float_change.relative_delta < 1e-5
    assert agreeing(fix.float_change.task) == 24
    assert fix.before is not None
    assert fix.after is not None
    assert fix.after.outputs[0].error.sqnr_db > fix.before.outputs[0].error.sqnr_db + 6.0
    assert read_back(ModelRepair, result_to_json(fix)) == fix


@pytest.mark.parametrize("method", ["mean", "constant"])
def test_channels_that_live_on_these_data_are_refused_and_no_others(method: Method) -> None:
    net = Net(revived=(2,))
    fix, changes = fixed(net, FixOptions(method=method))
    refused = {(layer.name, row.channel): str(row.refused) for layer, row in fix.refused_channels}
    assert ("bn1", 2) in refused
    assert all(channel == 2 for _, channel in refused)
    assert "float output" in refused["bn1", 2]
    assert fix.float_change is not None
    assert fix.float_change.relative_delta <= fix.float_bound
    name = "bn1.running_var" if method == "mean" else "bn1.weight"
    old = net.state_dict()[name]
    assert (changes[name] != old).nonzero().flatten().tolist() == [1]
    row = next(row for layer in fix.batchnorms if layer.name == "bn1" for row in layer.channels if row.channel == 2)
    assert (row.variance_after, row.gain_after) == (row.variance_before, row.gain_before)
    layer = next(layer for layer in fix.batchnorms if layer.name == "bn1")
    assert layer.gain_max_abs_after == layer.gain_max_abs_before


def test_a_wide_bound_lets_them_pass() -> None:
    fix, _ = fixed(Net(revived=(2,)), FixOptions(float_bound=1e6))
    assert not fix.refused_channels
    assert fix.float_change is not None
    assert fix.float_change.relative_delta > 1e-3


def test_layers_by_pattern() -> None:
    fix, changes = fixed(Net(), FixOptions(layers=("*2",)))
    assert [layer.name for layer in fix.batchnorms] == ["bn2"]
    assert set(changes) == {"bn2.running_var"}
    with pytest.raises(ConfigError, match="no BatchNorm is called nothing") as error:
        fixed(Net(), FixOptions(layers=("nothing",)))
    assert "bn1" in str(error.value.hint)


def test_nothing_to_repair_measures_nothing_and_tells_the_size_all_the_same() -> None:
    net = Net()
    for norm in (net.bn1, net.bn2):
        norm.running_var.fill_(1.0)
    fix, changes = fixed(net)
    assert not changes
    assert fix.batchnorms == ()
    assert fix.before is None
    assert "nothing to repair" in str(fix.unproved)
    convolutions, head, mask = 2 * (6 + 6), 6 * 4 + 4, 6  # each convolution has the bias that its BatchNorm becomes
    assert fix.size is not None and fix.size.reference.weights == 4 * (convolutions + head + mask)


def test_a_batchnorm_called_twice_is_repaired_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.bn = nn.BatchNorm2d(3)
            self.bn.running_var[0] = 0.0
            self.eval()

        def forward(self, x: Tensor) -> Tensor:
            return self.bn(self.conv(self.bn(self.conv(x))))

    subject = Subject(Twice(), "module", "net", "Twice")
    fix, changes = fix_unproved(subject, audit_batchnorms(subject), FixOptions(), "a test")
    assert [layer.name for layer in fix.batchnorms] == ["bn"]
    assert changes["bn.running_var"].tolist() == [1.0, 1.0, 1.0]
    assert fix.unproved == "a test"
