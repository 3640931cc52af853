"""What a repair costs and what it gives: one capture, and no calibration that no repair asks for."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

import qdiag
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.causes.repair_traits import Method
from qdiag.pipeline import begin, float_probe
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.fix_bn import FixOptions, fix_batchnorms
from qdiag.pipeline.repair import Changes, RepairOptions, repair_model
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.overlay import with_changes
from qdiag.simulate import session
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.figures import agreeing
from tests.unit.pipeline.test_fix_bn import Net, datasets

TF_UINT8 = qdiag.load_scheme("tf-uint8")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a network is captured, calibrated, simulated, and run in float beside its repaired copy."""
    found: Counter[str] = Counter()

    def count(owner: Any, name: str, noun: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            found[noun] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    count(begin, "prepare", "captured")
    count(session, "observe_network", "calibrated")
    count(session, "measure_case", "simulated")
    count(float_probe.FloatProbe, "run", "in float")
    return found


def subject_of(net: torch.nn.Module) -> Subject:
    return Subject(net, "module", "net", "Net")


def repaired(*names: str, bound: float = 1e-3, revived: tuple[int, ...] = ()) -> tuple[Subject, ModelRepair, Changes]:
    subject = subject_of(Net(revived))
    with open_session() as opened:
        options = RepairOptions(names, float_bound=bound)
        return subject, *repair_model(opened, subject, datasets(), TF_UINT8, options)


def fix_of(subject: Subject, method: Method = "mean") -> tuple[ModelRepair, Changes]:
    with open_session() as opened:
        return fix_batchnorms(opened, subject, audit_batchnorms(subject), datasets(), TF_UINT8, FixOptions(method))


def test_dead_channels_need_one_capture_and_one_calibration(counts: Counter[str]) -> None:
    subject = subject_of(Net())
    fix_of(subject)
    expected = {"captured": 1, "calibrated": 1, "simulated": 2, "in float": 1}
    assert counts == expected
    counts.clear()
    repaired("reset_variance_mean")
    assert counts == expected


def test_repairs_that_move_activations_calibrate_once_more_in_all(counts: Counter[str]) -> None:
    repaired("reset_variance_mean", "equalize", "correct_bias", bound=1.0)
    assert counts == {"captured": 1, "calibrated": 2, "simulated": 2, "in float": 3}


@pytest.mark.parametrize("names", [("reset_variance_constant",), ("reset_variance_mean", "equalize", "correct_bias")])
def test_what_is_measured_is_what_the_file_will_hold(names: tuple[str, ...]) -> None:
    subject, result, changes = repaired(*names, bound=1.0)
    assert [step.refused for step in result.steps] == [None] * len(names)
    assert result.before is not None and result.after is not None
    for network, ours in ((subject, result.before), (with_changes(subject, changes), result.after)):
        with open_session() as opened:
            theirs = measure_experiment(opened, begin.begin(opened, network, datasets(), TF_UINT8))
        assert ours.model == theirs.model
        assert agreeing(ours.task) == agreeing(theirs.task)
        for one, other in zip(ours.records, theirs.records, strict=True):
            assert one.name == other.name
            assert one.local.sqnr_db == pytest.approx(other.local.sqnr_db, abs=0.01)
        assert ours.outputs[0].error.sqnr_db == pytest.approx(theirs.outputs[0].error.sqnr_db, abs=0.01)


@pytest.mark.parametrize(("name", "method"), [("reset_variance_mean", "mean"), ("reset_variance_constant", "constant")])
def test_fix_bn_is_the_repair(name: str, method: Any) -> None:
    """Alive channels are refused one by one by either command, and the rest is the same to the bit."""
    subject, ours, changes = repaired(name, revived=(2,))
    fix, fixed = fix_of(subject, method)
    assert ours.refused_channels and list(ours.refused_channels) == list(fix.refused_channels)
    assert ours.batchnorms == fix.batchnorms
    assert changes.keys() == fixed.keys()
    assert all(torch.equal(changes[key], fixed[key]) for key in changes)
    assert ours.float_change == fix.float_change


def test_a_repair_on_top_of_another_is_judged_with_it() -> None:
    """Channels are refused for what they do on top of what was made before."""
    _, result, changes = repaired("equalize", "reset_variance_mean", revived=(2,))
    first, second = result.steps
    assert first.refused is None and second.refused is None
    assert result.float_change is not None and result.float_change.relative_delta <= 1e-3
    assert set(first.tensors) & set(changes) and set(second.tensors) <= set(changes)
    assert {channel.channel for _, channel in result.refused_channels} == {2}
