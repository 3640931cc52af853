"""Separable convolutions rewritten for a training: what is left of them, what is measured, and what is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

import qdiag
from qdiag.batches import Datasets
from qdiag.config import load_preset
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.training.qat import QatOptions, train_experiment
from qdiag.pipeline.training.refit_separable import Refit, refit_subject
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject
from qdiag.train.settings import TrainingSettings
from tests.cases import SESSION


class Block(nn.Module):
    """Variant (a); with `reads_between`, what lies between the convolutions is read elsewhere, too."""

    def __init__(self, c_in: int, c_out: int, *, reads_between: bool = False) -> None:
        super().__init__()
        self.dw, self.dw_bn, self.dw_act = (
            nn.Conv2d(c_in, c_in, 3, padding=1, groups=c_in, bias=False),
            nn.BatchNorm2d(c_in),
            nn.ReLU6(),
        )
        self.pw, self.pw_bn, self.pw_act = nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU6()
        self.reads_between = reads_between

    def forward(self, x: Tensor) -> Tensor:
        between = self.dw_act(self.dw_bn(self.dw(x)))
        y: Tensor = self.pw_act(self.pw_bn(self.pw(between)))
        return y + between.mean() if self.reads_between else y


def network(*, reads_between: bool = False) -> nn.Sequential:
    """Two blocks; with `reads_between` three, of which the second cannot be rewritten."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(Block(2, 4), Block(4, 4, reads_between=reads_between), *([Block(4, 4)] if reads_between else [])),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
        )
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 2.0)
                nn.init.normal_(module.bias)
                nn.init.uniform_(module.running_var, 0.05, 0.2)  # type: ignore[arg-type]
                nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return net.eval()


def data(count: int = 16, *, is_labelled: bool = True) -> Datasets:
    images = torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(count) % 3
    batches = batches_from((images, labels) if is_labelled else images)
    return Datasets(batches, batches, "the same")


def subject(model: nn.Module) -> Subject:
    return Subject(model, "module", "net", "net")


def refit(model: nn.Module, variant: str = "b", **more: object) -> Refit:
    return refit_subject(SESSION, subject(model), data(), load_preset("int8"), variant, **more)  # type: ignore[arg-type]


def operations(found: Refit) -> list[str]:
    assert isinstance(found.subject.model, ExportedProgram)
    return [str(node.target) for node in found.subject.model.graph.nodes if node.op == "call_function"]


def expected(net: nn.Sequential, x: Tensor, *, relu: bool) -> Tensor:
    """The network without clamps between convolutions, by torch, BatchNorms not folded."""
    for block in net[:2]:
        assert isinstance(block, Block)
        x = block.pw_bn(block.pw(block.dw_bn(block.dw(x))))
        x = x.relu() if relu else nn.functional.relu6(x)
    y: Tensor = net[2:](x)
    return y


@pytest.mark.parametrize(("variant", "clamps"), [("b", {"relu6": 2, "relu": 0}), ("c", {"relu6": 0, "relu": 2})])
def test_nothing_stands_between_the_convolutions_and_the_model_stays(variant: str, clamps: dict[str, int]) -> None:
    net = network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = refit(net, variant)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items()) and net.training
    record, names = found.record, operations(found)
    assert record.blocks == ("0.dw", "1.dw") and record.kept == ()
    assert record.relu_count == (2 if variant == "c" else 0)
    assert sum("batch_norm" in name for name in names) == 2, "only those behind the pointwise convolutions"
    counts = {
        "relu6": sum("hardtanh" in n or "relu6" in n for n in names),
        "relu": sum("aten.relu." in n for n in names),
    }
    assert counts == clamps
    images = torch.cat([batch.args[0] for batch in data().evaluation])
    assert isinstance(found.subject.model, ExportedProgram)
    with torch.no_grad():
        made, wanted = found.subject.model.module()(images), expected(net.eval(), images, relu=variant == "c")
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
        moved = float((made - net(images)).abs().max() / net(images).abs().max())
    assert record.float_change.relative_delta == pytest.approx(moved, rel=1e-3) and moved > 0.01
    old, new = record.original.task.figures[0], record.float_change.task.figures[0]
    assert old.reference == new.reference, "the float network as it was read"


def test_few_blocks_and_a_block_that_stays() -> None:
    found = refit(network(reads_between=True), blocks=["0.*", "1.*"])
    assert found.record.blocks == ("0.dw",)
    refused, unasked = found.record.kept
    assert refused.block == "1.dw" and refused.reason is not None and "something else reads" in refused.reason
    assert (unasked.block, unasked.reason) == ("2.dw", None)
    assert sum("batch_norm" in name for name in operations(found)) == 5


def test_without_labels_it_is_trained_towards_the_network_as_it_was_read() -> None:
    """Epoch 0 has the loss of the rewritten network against the float network as read, by torch, up to eight bits;
    against its own float outputs it would be next to none."""
    net, samples = network(), data(is_labelled=False)
    found = refit_subject(SESSION, subject(net), samples, load_preset("int8"), "b", request=TaskRequest("classify"))
    settings = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-12)
    images = torch.cat([batch.args[0] for batch in samples.evaluation])
    with torch.no_grad():
        teacher, rewritten = net(images).log_softmax(1), expected(net, images, relu=False).log_softmax(1)
    away = float(torch.nn.functional.kl_div(rewritten, teacher, reduction="batchmean", log_target=True))
    trained = train_experiment(SESSION, found.experiment, QatOptions(settings)).record
    assert trained.loss == "distillation" and away > 1e-3
    assert trained.epochs[0].float_loss == pytest.approx(0.0, abs=1e-6)
    assert trained.epochs[0].loss == pytest.approx(away, rel=0.01)


def test_python_rewrites_and_trains_as_the_command_does() -> None:
    batches = list(data().evaluation)
    pair = torch.cat([batch.args[0] for batch in batches]), torch.cat([batch.labels for batch in batches])
    settings = TrainingSettings(epochs=1, batch_size=8, learning_rate=0.05)
    net = network()
    found = qdiag.qat(net, pair, training=pair, settings=settings, refit="b", refit_blocks=["0.*"])
    refit = found.result.refit
    assert refit is not None and refit.blocks == ("0.dw",) and refit.variant == "b"
    assert isinstance(found.model, ExportedProgram) and "0.dw_bn.weight" not in found.model.state_dict
    assert not torch.equal(found.model.state_dict["0.dw.weight"], net.get_parameter("0.dw.weight"))
    then = qdiag.qat(found.model, pair, training=pair, settings=settings, refit="b")
    assert then.result.refit is not None and then.result.refit.blocks == ("1.dw",), "one block after the other"
    assert isinstance(then.model, ExportedProgram) and not any("dw_bn" in name for name in then.model.state_dict)
    with pytest.raises(ConfigError, match="it needs `refit`"):
        qdiag.qat(net, pair, refit_blocks=["0.*"])


def test_wrong_use() -> None:
    with pytest.raises(ConfigError, match=r"can be rewritten \(1\.dw: something else reads"):
        refit(network(reads_between=True), blocks=["1.dw"])
    part = Subject(network()[0], "module", "net", "net", parent=network(), submodule="0")
    with pytest.raises(ConfigError, match="a part of a network"):
        refit_subject(SESSION, part, data(), load_preset("int8"), "b")
