"""Where a result comes from: model and data."""

from qdiag.batches import Datasets
from qdiag.core.measures.measurement import DataInfo, ModelInfo
from qdiag.files.read import file_digest
from qdiag.loaders.models.values import fingerprint, parameter_count
from qdiag.subject import Subject


def model_info(subject: Subject) -> ModelInfo:
    """What was examined."""
    return ModelInfo(
        source=subject.source if subject.submodule is None else f"{subject.source}, submodule {subject.submodule}",
        format=subject.format,
        architecture=subject.architecture,
        parameter_count=parameter_count(subject),
        digest=fingerprint(subject),
        file_digest=file_digest(subject.source),
    )


def data_info(datasets: Datasets, seed: int) -> DataInfo:
    """On what it was examined."""
    measured, calibration = datasets.evaluation, datasets.calibration
    return DataInfo(
        source=measured.source,
        calibration_source=calibration.source,
        calibration_count=calibration.sample_count if datasets.calibrates else 0,
        measured_count=measured.sample_count,
        split=datasets.split,
        is_data_free=measured.is_data_free,
        is_labelled=measured.is_labelled,
        preprocessing=measured.preprocessing,
        batch_size=measured.batch_size,
        seed=seed,
        digest=measured.digest(),
    )
