"""Whole runs from a subject to a result, as commands make them."""

from typing import Any

from qdiag.batches import Datasets
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.core.scheme import QuantScheme
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.pipeline.sensitivity import SensitivityOptions, measure_sensitivity
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.session import open_session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject


def diagnose_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: DiagnoseOptions | None = None,
    request: TaskRequest | None = None,
    **settings: Any,
) -> Diagnosis:
    """Settings are those of `open_session`."""
    with open_session(**settings) as session:
        return diagnose_experiment(session, begin(session, subject, datasets, scheme, request), options)


def measure_subject(subject: Subject, datasets: Datasets, scheme: QuantScheme, **settings: Any) -> Measurement:
    with open_session(**settings) as session:
        return measure_experiment(session, begin(session, subject, datasets, scheme))


def sensitivity_of_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: SensitivityOptions | None = None,
    **settings: Any,
) -> Sensitivity:
    with open_session(**settings) as session:
        return measure_sensitivity(session, begin(session, subject, datasets, scheme), options)
