"""Dead channels whose bias saturates: in a runtime whose accumulator wraps they come back to life."""

from dataclasses import replace

import pytest
import torch

import qdiag
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.scheme import RuntimeName
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, settle

DEAD = (1, 4, 6, 9, 12, 15)
ORT = scheme(per_channel=True, arithmetic="ort")


def dead_channels(gain: float) -> Chain:
    """Channels of the stem with weights `gain` times the others, and a bias that keeps them at 0 behind the ReLU."""
    model = settle(build())
    with torch.no_grad():
        model.stem[0].weight[list(DEAD)] *= gain
        model.stem[0].bias[list(DEAD)] = -4.0
    return fit_classifier(model)


@pytest.fixture(scope="module")
def sick() -> Diagnosis:
    return diagnosis(Network(lambda: dead_channels(8e-6), ORT))


def test_sums_that_wrap_are_the_first_cause(sick: Diagnosis) -> None:
    found = finding(sick, "QD104")
    assert found is not None
    (site,) = found.sites
    assert (site.layer, set(site.channels)) == ("stem.0", set(DEAD))
    evidence = {one.name: one.value for one in site.evidence}
    assert evidence["wrapped_channels"] == len(DEAD)
    assert evidence["local_sqnr"] < 10.0
    first = sick.ranking.causes[0]
    assert (first.code, first.verdict) == ("QD104", "cause")
    by_repair = {trial.repair: trial for trial in first.trials}
    recovery = by_repair["raise_weight_scale"].recovery
    assert recovery is not None
    assert recovery.recovered_task >= 0.6 * sick.ranking.harm.value


@pytest.mark.parametrize("arithmetic", ["xnnpack", "tflite-ref", "qnnpack"])
def test_other_runtimes_that_wrap(arithmetic: RuntimeName) -> None:
    """The same channels are named, and the twin has none."""
    rules = replace(ORT, arithmetic=arithmetic)
    found = finding(diagnosis(Network(lambda: dead_channels(8e-6), rules)), "QD104")
    assert found is not None
    assert (found.sites[0].layer, set(found.sites[0].channels)) == ("stem.0", set(DEAD))
    assert finding(diagnosis(Network(lambda: dead_channels(1e-3), rules)), "QD104") is None


def test_the_relu_hides_it_where_sums_saturate(sick: Diagnosis) -> None:
    """The same network in float arithmetic."""
    saturated = qdiag.measure(dead_channels(8e-6), DATA.measured[0], scheme=replace(ORT, arithmetic="float"))
    stem = {record.name: record.local.sqnr_db for record in saturated.records}["stem.0"]
    assert stem > 28.0
    assert {record.name: record.local.sqnr_db for record in sick.measurement.records}["stem.0"] < 10.0


def test_the_healthy_twin() -> None:
    """Dead channels with weights of a size at which the bias fits its integer."""
    twin = diagnosis(Network(lambda: dead_channels(1e-3), ORT))
    assert finding(twin, "QD104") is None
    assert twin.ranking.harm.verdict != "harmed"
