"""Diagnoses of planted networks, each made once per test run."""

from functools import cache

from torch.export import ExportedProgram

from qdiag.batches import Datasets
from qdiag.core.causes.findings import Finding
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.subject import Subject
from tests.planted.fault import Network
from tests.runs import diagnose_subject


@cache
def diagnosis(network: Network, device: str = "cpu") -> Diagnosis:
    """Findings and ranked causes of a planted network, on the CPU or a GPU."""
    model = network.build()
    is_program = isinstance(model, ExportedProgram)
    subject = Subject(model, "exported_program" if is_program else "module", "planted", "Chain")
    datasets = Datasets(
        batches_from(network.data.calibration, 64), batches_from(network.data.measured, 160), "drawn apart"
    )
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    return diagnose_subject(subject, datasets, network.scheme, options=options, device=device)


def finding(found: Diagnosis, code: str) -> Finding | None:
    """The finding with that code."""
    return next((f for f in found.ranking.findings if f.code == code), None)
