"""A BatchNorm behind an activation folds into the layer after it: its dead channels are inputs of that layer."""

import pytest
import torch
from torch import nn

from qdiag.batches import Datasets
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.fix_bn import FixOptions, fix_batchnorms
from qdiag.rank.placebo import placebo_sites
from qdiag.reading.words.causes import commands
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.cases import open_test_case
from tests.figures import top1_of
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, settle

EPS = 1e-5
DEAD = (2, 5, 9)
PER_TENSOR = scheme(8, 8)


def normalized(dead: tuple[int, ...]) -> Chain:
    """Convolution, ReLU, BatchNorm, then the next convolution; the dead filters have never given anything."""
    model = settle(build())
    with torch.no_grad():
        model.stem[0].weight[list(dead)] = 0.0
        model.stem[0].bias[list(dead)] = -1.0
        norm = nn.BatchNorm2d(16, eps=EPS).eval()
        seen = model.stem(DATA.fit[0])
        norm.running_mean.copy_(seen.mean((0, 2, 3)))
        norm.running_var.copy_(seen.var((0, 2, 3)))
    model.stem = nn.Sequential(*model.stem, norm)
    return fit_classifier(model)


SICK = Network(lambda: normalized(DEAD), PER_TENSOR)
TWIN = Network(lambda: normalized(()), PER_TENSOR)


def test_its_dead_channels_are_the_cause_and_fix_bn_is_proposed() -> None:
    found = diagnosis(SICK)
    assert found.ranking.harm.verdict == "harmed"
    first = found.ranking.causes[0]
    assert (first.code, first.verdict, first.layers) == ("QD301", "cause", ("body.0",))
    assert (first.sites[0].channels, first.sites[0].inputs) == ((), DEAD)
    best = first.trials[0]
    assert best.keeps_scheme and best.recovery is not None and best.placebo is not None
    assert best.recovery.recovered_task >= 0.6 * found.ranking.harm.value
    assert best.placebo.over_placebo.task_interval.low > 0.0
    assert best.placebo.sites[0].inputs and not set(best.placebo.sites[0].inputs) & set(DEAD)
    assert "reset_variance_mean" in commands(found)[1], "a call in Python, as the network is an object"


def test_the_healthy_twin_is_silent() -> None:
    found = diagnosis(TWIN)
    assert finding(found, "QD301") is None
    assert found.ranking.harm.verdict != "harmed" and found.ranking.claimed == ()


@pytest.mark.parametrize("dead", [DEAD, ()])
def test_bn_and_fix_bn_see_the_same_channels(dead: tuple[int, ...]) -> None:
    model = normalized(dead)
    subject = Subject(model, "module", "net", "Chain")
    audit = audit_batchnorms(subject)
    (record,) = audit.records
    assert record.layer is not None and (record.layer.direction, record.layer.name) == ("bn->conv", "body.0")
    assert record.dead_channels == dead
    calibration, measured = batches_from(DATA.calibration), batches_from(DATA.measured)
    with open_session() as session:
        fix, changes = fix_batchnorms(
            session, subject, audit, Datasets(calibration, measured, "apart"), PER_TENSOR, FixOptions()
        )
    assert (fix.fixed_count, len(fix.refused_channels)) == (len(dead), 0)
    if dead:
        assert set(changes) == {"stem.2.running_var"}
        assert fix.before is not None and fix.after is not None
        assert top1_of(fix.before.task) is not None and top1_of(fix.after.task) is not None
        assert top1_of(fix.after.task).simulated_percent > top1_of(fix.before.task).simulated_percent + 10.0


def test_the_placebo_is_at_other_inputs_of_the_same_layer() -> None:
    case = open_test_case(normalized(DEAD), DATA.calibration, PER_TENSOR)
    traits = TRAITS["reset_variance_mean"]
    for seed in range(8):
        (site,) = placebo_sites(
            traits, [FindingSite("body.0", inputs=DEAD)], "weight", case, taken=frozenset({"body.0"}), seed=seed
        )
        assert (site.layer, site.channels, len(site.inputs)) == ("body.0", (), len(DEAD))
        assert not set(site.inputs) & set(DEAD)
