"""From what the Python functions are given to the experiment that they run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdiag.config import DEFAULT_PRESET, change_scheme, load_scheme
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.loaders.data.split import RangeUse
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.stored_network import check_quantized
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.plan import is_integer_file, quantized_tensors
from qdiag.pipeline.preparation.given import Data, Model, datasets_of, scheme_of, subject_of
from qdiag.simulate.session import Session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject

QuantizedFile = Subject | str | Path
"""A quantized file: its path, or what `load_model` made of it."""


@dataclass(frozen=True)
class ModelRequest:
    """What is measured, and what is said about it; see `qdiag.measure`."""

    model: Model
    scheme: QuantScheme | str
    arch: str | None
    trust: bool
    quantized: QuantizedFile | None
    overrides: Sequence[str]


def open_given(
    session: Session,
    given: ModelRequest,
    batches: Data,
    calibration: Data | None,
    preset: str | None,
    request: TaskRequest,
    *,
    ranges_of_file: RangeUse = "repairs",
) -> Experiment:
    """The model, captured and calibrated, or under the plan of its quantized file.

    Args:
        ranges_of_file: what takes ranges from samples where a quantized file holds its own.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.
    """
    file = given.quantized
    if isinstance(file, str | Path):
        check_quantized(str(file))
        file = load_subject(file, trust=given.trust)
    kept = frozenset() if file is None else frozenset(quantized_tensors(file))
    subject = subject_of(given.model, arch=given.arch, trust=given.trust, kept=kept)
    scheme, changes = scheme_of(given.scheme), tuple(given.overrides)
    ranges: RangeUse = "all" if given.overrides and ranges_of_file == "none" else ranges_of_file
    if file is None and not is_integer_file(subject):
        scheme, changes, ranges = change_scheme(scheme, changes), (), "all"
    elif scheme != load_scheme(DEFAULT_PRESET):
        raise ConfigError(
            "a scheme, and a file that is quantized already",
            hint="leave `scheme` away: the file says what is quantized, and how; `overrides` changes that",
        )
    return begin(session, subject, datasets_of(batches, calibration, preset, ranges), scheme, request, file, changes)
