"""What is measured on some of the samples decides what all of them decide: codes, order and verdicts."""

import pytest

from tests.planted.diagnosing import BATCH, diagnosis
from tests.planted.fault import Network
from tests.planted.faults import FAULTS

MODULES = [fault for fault in FAULTS if fault.cause]


@pytest.mark.parametrize("network", [pytest.param(fault.sick, id=fault.name) for fault in MODULES])
def test_codes_order_and_verdicts_are_those_of_all_samples(network: Network) -> None:
    some, whole = diagnosis(network), diagnosis(network, is_exhaustive=True)
    count = some.measurement.data.measured_count
    measured_on = [
        {record.losses.sample_count for record in found.measurement.records if record.losses is not None}
        for found in (some, whole)
    ]
    assert measured_on[0] <= {BATCH, count} and measured_on[1] <= {count}
    assert [f.code for f in some.ranking.findings] == [f.code for f in whole.ranking.findings]
    assert [(c.code, c.verdict, c.layers) for c in some.ranking.causes] == [
        (c.code, c.verdict, c.layers) for c in whole.ranking.causes
    ]
    assert [(s.code, s.repair) for s in some.ranking.waterfall] == [(s.code, s.repair) for s in whole.ranking.waterfall]
    assert some.ranking.harm == whole.ranking.harm
