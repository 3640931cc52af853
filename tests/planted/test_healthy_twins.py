"""The same networks without the fault: no finding of its code, no cause; and what only looks like a fault."""

import pytest

from qdiag.core.causes.findings import FindingSite
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from tests.cases import open_test_case, output_sqnr_db
from tests.figures import top1_of
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.faults import FAULTS
from tests.planted.faults_normalization import HARMLESS
from tests.planted.networks import DATA

TWINS = {fault.name: fault for fault in FAULTS}


@pytest.mark.parametrize("name", TWINS)
def test_a_healthy_twin_is_silent(name: str) -> None:
    fault = TWINS[name]
    found = diagnosis(fault.twin)
    assert finding(found, fault.code) is None
    assert found.ranking.harm.verdict != "harmed"
    assert found.ranking.claimed == ()


@pytest.mark.parametrize("name", TWINS)
def test_the_fault_is_all_that_differs(name: str) -> None:
    """The float networks are as good as one another."""
    fault = TWINS[name]
    sick, twin = (top1_of(diagnosis(network).measurement.task) for network in (fault.sick, fault.twin))
    assert sick is not None and twin is not None
    assert sick.reference_percent >= 90.0
    assert twin.reference_percent >= 90.0


def audit(name: str) -> BatchNormAudit:
    found = diagnosis(HARMLESS[name]).batchnorms
    assert found is not None
    return found


@pytest.mark.parametrize("name", HARMLESS)
def test_what_looks_like_a_fault_and_costs_nothing_is_no_cause(name: str) -> None:
    found = diagnosis(HARMLESS[name])
    assert audit(name).dead_count >= 1
    assert found.ranking.harm.verdict == "healthy"
    assert found.ranking.claimed == ()
    assert finding(found, "QD301") is None, "the folded weights do not set the range"


def test_many_dead_channels_are_reported_as_what_they_are() -> None:
    record = audit("many_dead_channels").record("body.1")
    assert record.dead_channels == tuple(range(24))
    assert not any(dead.sets_range for dead in record.dead)


def test_a_huge_gain_on_tiny_weights_is_harmless_and_fixing_it_recovers_nothing() -> None:
    """pytorch/vision issue 648: variance 1e-14 and a gain of a thousand, on weights of 3e-10."""
    network = HARMLESS["huge_gain_on_tiny_weights"]
    record = audit("huge_gain_on_tiny_weights").record("head.1")
    (dead,) = record.dead
    assert abs(dead.gain) > 900.0
    assert not dead.sets_range
    model = network.build()
    case = open_test_case(model, DATA.calibration[0], network.scheme, measured=DATA.measured[0])  # type: ignore[arg-type]
    context = RepairContext(diagnosis(network).batchnorms)
    treated = REPAIRS["reset_variance_mean"].apply(case, [FindingSite("head.0", (4,))], context)
    assert output_sqnr_db(treated.case) == pytest.approx(output_sqnr_db(case), abs=0.5)
