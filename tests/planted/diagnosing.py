"""Diagnoses of planted networks, each made once per test run."""

import os
from functools import cache
from pathlib import Path

from torch.export import ExportedProgram

from qdiag.batches import Datasets
from qdiag.core.causes.findings import Finding
from qdiag.core.diagnosis import Diagnosis
from qdiag.files.cache_folder import FolderCache
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.simulate.session import Session, open_session
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.subject import Subject
from tests.planted.fault import Network
from tests.planted.faults import FAULTS

BATCH = 32
"""Samples; so that the five losses are measured on one batch of many."""
MEASURED = 160
"""Samples that swept networks are measured on: five batches, of which a repair may be ruled out by the first."""
SWEPT = frozenset(fault.sick for fault in FAULTS if fault.cause)
"""Diagnosed with the sensitivity of the layers, which takes part in what is decided."""


@cache
def diagnosis(network: Network, device: str = "cpu", *, is_exhaustive: bool = False) -> Diagnosis:
    """Findings and ranked causes of a planted network, on the CPU or a GPU.

    What two diagnoses of a network have in common is run once, passes also where two processes make one each.
    """
    options = DiagnoseOptions(with_sensitivity=network in SWEPT, with_bits=False, is_exhaustive=is_exhaustive)
    session, experiment = _begun(network, device)
    with engine_arithmetic():
        return diagnose_experiment(session.timed_anew(), experiment, options)


@cache
def _begun(network: Network, device: str) -> tuple[Session, Experiment]:
    """Captured and calibrated; diagnoses leave it as it is."""
    model = network.build()
    is_program = isinstance(model, ExportedProgram)
    subject = Subject(model, "exported_program" if is_program else "module", "planted", "Chain")
    images, labels = network.data.measured
    if network in SWEPT:
        batches = batches_from((images[:MEASURED], labels[:MEASURED]), BATCH)
    else:
        batches = batches_from((images, labels), 160)
    datasets = Datasets(batches_from(network.data.calibration, 64), batches, "drawn apart")
    passes = FolderCache(Path(os.environ["TEST_PASSES_OF_QDIAG"]))
    with open_session(device=device, cache=passes) as session:
        return session, begin(session, subject, datasets, network.scheme)


def finding(found: Diagnosis, code: str) -> Finding | None:
    """The finding with that code."""
    return next((f for f in found.ranking.findings if f.code == code), None)
