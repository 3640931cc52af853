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
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.subject import Subject
from tests.planted.fault import Network
from tests.planted.faults import FAULTS
from tests.runs import diagnose_subject

BATCH = 32
"""Samples; so that the five losses are measured on one batch of many."""
SWEPT = frozenset(fault.sick for fault in FAULTS if fault.cause)
"""Diagnosed with the sensitivity of the layers, which takes part in what is decided."""


@cache
def diagnosis(network: Network, device: str = "cpu", *, is_exhaustive: bool = False) -> Diagnosis:
    """Findings and ranked causes of a planted network, on the CPU or a GPU.

    What two diagnoses of a network have in common is run once, also where two processes of a test run make one each.
    """
    model = network.build()
    is_program = isinstance(model, ExportedProgram)
    subject = Subject(model, "exported_program" if is_program else "module", "planted", "Chain")
    is_swept, data = network in SWEPT, network.data
    batches = batches_from(data.measured, BATCH if is_swept else 160)
    datasets = Datasets(batches_from(data.calibration, 64), batches, "drawn apart")
    passes = FolderCache(Path(os.environ["TEST_PASSES_OF_QDIAG"]))
    options = DiagnoseOptions(with_sensitivity=is_swept, with_bits=False, is_exhaustive=is_exhaustive)
    return diagnose_subject(subject, datasets, network.scheme, options=options, device=device, cache=passes)


def finding(found: Diagnosis, code: str) -> Finding | None:
    """The finding with that code."""
    return next((f for f in found.ranking.findings if f.code == code), None)
