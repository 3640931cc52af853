"""What is measured on some of the samples decides what all of them decide: codes, order and verdicts."""

import pytest
from torch.export import ExportedProgram

from qdiag.batches import Datasets
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.subject import Subject
from tests.planted.fault import Network
from tests.planted.faults import FAULTS
from tests.runs import diagnose_subject

MODULES = [fault for fault in FAULTS if fault.cause]
EXPENSIVE = [pytest.param(fault.sick, id=fault.name, marks=pytest.mark.slow) for fault in MODULES[1:]]
BATCH = 16
"""Samples; so that the five losses are measured on two batches of many."""


def decided(network: Network, *, is_exhaustive: bool) -> Diagnosis:
    datasets = Datasets(
        batches_from(network.data.calibration, 64), batches_from(network.data.measured, BATCH), "drawn apart"
    )
    model = network.build()
    options = DiagnoseOptions(with_bits=False, is_exhaustive=is_exhaustive)
    is_program = isinstance(model, ExportedProgram)
    subject = Subject(model, "exported_program" if is_program else "module", "planted", "Chain")
    return diagnose_subject(subject, datasets, network.scheme, options=options)


@pytest.mark.parametrize("network", [pytest.param(MODULES[0].sick, id=MODULES[0].name), *EXPENSIVE])
def test_codes_order_and_verdicts_are_those_of_all_samples(network: Network) -> None:
    some, whole = (decided(network, is_exhaustive=all_of_it) for all_of_it in (False, True))
    counts = {record.losses.sample_count for record in some.measurement.records if record.losses is not None}
    assert counts <= {2 * BATCH, some.measurement.data.measured_count}
    assert [f.code for f in some.ranking.findings] == [f.code for f in whole.ranking.findings]
    assert [(c.code, c.verdict, c.layers) for c in some.ranking.causes] == [
        (c.code, c.verdict, c.layers) for c in whole.ranking.causes
    ]
    assert [(s.code, s.repair) for s in some.ranking.waterfall] == [(s.code, s.repair) for s in whole.ranking.waterfall]
    assert some.ranking.harm == whole.ranking.harm
