"""Both methods against arithmetic by hand, and what they refuse."""

import math

import pytest
import torch
from torch import Tensor, nn

from qdiag.core.causes.repair_traits import Method
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.core.measures.measurement import ModelInfo
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.repair import audited
from qdiag.repairs.edit import ChannelEdit, changed_tensors
from qdiag.repairs.overlay import subject_tensors, with_changes
from qdiag.repairs.weights.reset_variance import Proposal, propose
from qdiag.subject import Subject

EPS = 1e-3
MODEL = ModelInfo("net", "module", "Net", 0, "0" * 64)


def network(*, affine: bool = True) -> nn.Sequential:
    """Channel 1 of three is dead: its kernel sees a constant and its variance is nothing."""
    net = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), nn.BatchNorm2d(3, eps=EPS, affine=affine), nn.ReLU()).eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([1.0, 4.0, -2.0]).reshape(3, 1, 1, 1))
        net[1].running_mean.copy_(torch.tensor([0.5, 0.0, -1.0]))
        net[1].running_var.copy_(torch.tensor([1.0, 1e-30, 3.0]))
        if affine:
            net[1].weight.copy_(torch.tensor([2.0, 1.5, -1.0]))
            net[1].bias.copy_(torch.tensor([0.1, 0.7, 0.3]))
    return net


def subject_of(net: nn.Module) -> Subject:
    return Subject(net, "module", "net", type(net).__name__)


def proposed(
    record: BatchNormRecord, tensors: dict[str, Tensor], method: Method, threshold: float | None = None
) -> Proposal | None:
    """Of all channels that are dead by the audit, or by the threshold; None without any."""
    audit = BatchNormAudit(MODEL, "fx", 8, (record,))
    (judged,) = audited(audit, threshold).records
    return propose(judged, tensors, method, judged.dead_channels) if judged.dead else None


def record_of(net: nn.Module, index: int = 0) -> BatchNormRecord:
    return audit_batchnorms(subject_of(net)).records[index]


def tensors_of(net: nn.Module) -> dict[str, Tensor]:
    return subject_tensors(subject_of(net))


def test_mean_by_hand() -> None:
    net = network()
    proposal = proposed(record_of(net), tensors_of(net), "mean")
    assert proposal is not None
    assert proposal.edits == (ChannelEdit("1", 1, {"1.running_var": 2.0}),)  # (1 + 3) / 2
    (row,) = proposal.fix.channels
    assert (row.channel, row.refused) == (1, None)
    assert row.variance_before == pytest.approx(1e-30)
    assert row.variance_after == 2.0
    assert row.gain_before == pytest.approx(1.5 / math.sqrt(EPS), rel=1e-6)
    assert row.gain_after == pytest.approx(1.5 / math.sqrt(2.0 + EPS), rel=1e-6)
    assert row.output_constant == pytest.approx(0.7)
    assert row.folded_max_abs_before == pytest.approx(4.0 * 1.5 / math.sqrt(EPS), rel=1e-6)
    assert row.folded_max_abs_after == pytest.approx(4.0 * 1.5 / math.sqrt(2.0 + EPS), rel=1e-6)
    assert proposal.fix.folds_into == "0"
    assert proposal.fix.gain_max_abs_after == pytest.approx(2.0 / math.sqrt(1.0 + EPS), rel=1e-6)
    assert proposal.fix.folded_max_abs_after == pytest.approx(4.0 * 1.5 / math.sqrt(2.0 + EPS), rel=1e-6)


def test_constant_by_hand() -> None:
    net = network()
    proposal = proposed(record_of(net), tensors_of(net), "constant")
    assert proposal is not None
    assert proposal.edits == (ChannelEdit("1", 1, {"1.weight": 0.0}),)
    (row,) = proposal.fix.channels
    assert (row.gain_after, row.folded_max_abs_after) == (0.0, 0.0)
    assert row.variance_after == row.variance_before


@pytest.mark.parametrize("method", ["mean", "constant"])
def test_the_output_stays_where_the_channel_is_constant(method: Method) -> None:
    net = network()
    net[0].weight.data[1] = 0.0  # the constant that reaches the channel is its running mean, 0
    subject = subject_of(net)
    proposal = proposed(record_of(net), tensors_of(net), method)
    assert proposal is not None
    changes = changed_tensors(tensors_of(net), proposal.edits)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    repaired = with_changes(subject, changes)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert isinstance(repaired.model, nn.Module)
        assert torch.equal(repaired.model(x), net(x))
    changed = [name for name, value in repaired.model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == (["1.running_var"] if method == "mean" else ["1.weight"])
    audit = audit_batchnorms(repaired)
    assert audit.dead_count == (0 if method == "mean" else 1)


def test_constant_twice_says_that_nothing_is_left_to_do() -> None:
    net = network()
    net[1].weight.data[1] = 0.0
    proposal = proposed(record_of(net), tensors_of(net), "constant")
    assert proposal is not None
    assert proposal.edits == ()
    assert "zero already" in str(proposal.fix.channels[0].refused)


def test_refusals_say_which_method_would_do() -> None:
    plain = network(affine=False)
    proposal = proposed(record_of(plain), tensors_of(plain), "constant")
    assert proposal is not None
    assert "method mean" in str(proposal.fix.channels[0].refused)
    assert proposal.edits == ()
    assert proposal.fix.gain_max_abs_after == proposal.fix.gain_max_abs_before
    by_mean = proposed(record_of(plain), tensors_of(plain), "mean")
    assert by_mean is not None
    assert len(by_mean.edits) == 1
    all_dead = network()
    all_dead[1].running_var.fill_(1e-30)
    proposal = proposed(record_of(all_dead), tensors_of(all_dead), "mean")
    assert proposal is not None
    assert (proposal.fix.refused_count, len(proposal.edits)) == (3, 0)
    assert "method constant" in str(proposal.fix.channels[0].refused)
    by_constant = proposed(record_of(all_dead), tensors_of(all_dead), "constant")
    assert by_constant is not None
    assert len(by_constant.edits) == 3


def test_tensors_under_other_names_are_not_guessed() -> None:
    net = network()
    proposal = proposed(record_of(net), {}, "mean")
    assert proposal is not None
    assert "1.running_var" in str(proposal.fix.channels[0].refused)


def test_threshold_replaces_the_rule() -> None:
    net = network()
    assert proposed(record_of(net), tensors_of(net), "mean", threshold=1e-40) is None
    proposal = proposed(record_of(net), tensors_of(net), "mean", threshold=1.0 / EPS)
    assert proposal is not None
    assert [row.channel for row in proposal.fix.channels] == [0, 1]
    assert [row.variance_after for row in proposal.fix.channels] == [3.0, 3.0]


def test_a_healthy_layer_is_left_in_peace() -> None:
    net = network()
    net[1].running_var[1] = 0.5
    assert proposed(record_of(net), tensors_of(net), "mean") is None


def test_a_submodule_is_changed_inside_a_copy_of_the_whole() -> None:
    whole = nn.Sequential(network(), nn.Conv2d(3, 2, 1)).eval()
    subject = Subject(whole[0], "module", "net", "Sequential", whole, "0")
    changed = with_changes(subject, {"1.running_var": torch.ones(3)})
    assert changed.parent is not whole
    assert isinstance(changed.parent, nn.Sequential)
    assert changed.parent[0] is changed.model
    assert torch.equal(changed.parent[0][1].running_var, torch.ones(3))
    assert float(whole[0][1].running_var[2]) == 3.0


def test_exported_programs_are_copied_too() -> None:
    program = torch.export.export(network(), (torch.zeros(2, 1, 4, 4),))
    subject = Subject(program, "exported_program", "net.pt2", "Sequential")
    changed = with_changes(subject, {"1.running_var": torch.ones(3)})
    assert torch.equal(subject_tensors(changed)["1.running_var"], torch.ones(3))
    assert float(subject_tensors(subject)["1.running_var"][2]) == 3.0
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = network()
    expected[1].running_var.fill_(1.0)
    with torch.no_grad():
        assert torch.allclose(changed.model.module()(x), expected(x))  # type: ignore[union-attr]
