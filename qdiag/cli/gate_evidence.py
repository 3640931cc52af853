"""What `qdiag gate` judges: a stored result, or a model that is measured first."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from qdiag.cli.inputs import ModelOptions, open_experiment
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.task import TaskOptions
from qdiag.cli.options.words import without_scheme
from qdiag.cli.run import RunOptions, running
from qdiag.errors import LoadError
from qdiag.files.read import open_regular
from qdiag.gate.evidence import GateEvidence, why_contradictory
from qdiag.loaders.stored_network import check_packages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qdiag.core.diagnosis import Diagnosis
    from qdiag.core.scheme import QuantScheme

_DIAGNOSIS = re.compile(r'\s*\{\s*"measurement"')
_HINT = "give diagnosis.json, the JSON of `qdiag sqnr --json`, or a model with --data"


def is_stored(source: str) -> bool:
    """Whether this is a stored result: a folder, a name that ends in .json, or a file that begins like JSON.

    No format of a model begins with a brace.
    """
    path = Path(source)
    if path.is_dir() or path.suffix.lower() == ".json":
        return True
    try:
        with open_regular(path) as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def is_model(source: str) -> bool:
    """Whether something is there that could be a model: a path, or a reference to code."""
    return Path(source).exists() or ":" in source


def read_evidence(source: str) -> GateEvidence:
    """A diagnosis or a measurement, without torch.

    Raises:
        LoadError: no such file, or something else in it.
    """
    from qdiag.writers.json.diagnosis import diagnosis_file, diagnosis_from_json
    from qdiag.writers.json.measurement import from_json
    from qdiag.writers.json.read import read_stored

    path = diagnosis_file(source)

    def parse(text: str) -> GateEvidence:
        if _holds_diagnosis(text):
            return _consistent(_of_diagnosis(str(path), diagnosis_from_json(text)))
        return _consistent(GateEvidence(str(path), from_json(text)))

    return read_stored(path, parse, _HINT)


def measure_evidence(
    run: RunOptions,
    model: ModelOptions,
    data: DataOptions,
    scheme: "QuantScheme",
    task: TaskOptions,
    quantized: str | None = None,
    changes: "Sequence[str]" = (),
    *,
    causes_for: tuple[str, ...] | None = None,
) -> GateEvidence:
    """Measures a model, and looks for causes only where a limit on them is set, since that takes many passes.

    Args:
        quantized, changes: see `open_experiment`.
        causes_for: options that lead another command to the same network, data, scheme and task; None without causes.

    Raises:
        QdiagError: the model or the data cannot be used.
    """
    if not is_model(model.model):
        raise LoadError("there is no such file or folder", at=model.model, hint=_HINT)
    check_packages(model.model)
    with running(run, seed=data.seed) as session:
        from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
        from qdiag.pipeline.estimate import estimate
        from qdiag.pipeline.sqnr import measure_experiment
        from qdiag.simulate.session import PAIRED

        repairs = causes_for is not None
        experiment = open_experiment(session, model, data, scheme, task, quantized, changes, repairs=repairs)
        if causes_for is None:
            session.expect_passes(experiment.case, {"simulate": PAIRED})
            return GateEvidence(model.model, measure_experiment(session, experiment))
        words = causes_for if experiment.deployed is None else without_scheme(causes_for)
        options = DiagnoseOptions(with_sensitivity=False, with_bits=False, words=words)
        if not run.quiet:
            with session.watch.told("estimate the time"):
                session.expect(estimate(session, experiment.case, options).harmed)
        return _of_diagnosis(model.model, diagnose_experiment(session, experiment, options))


def _consistent(evidence: GateEvidence) -> GateEvidence:
    reason = why_contradictory(evidence)
    if reason is not None:
        raise LoadError(f"the stored result contradicts itself: {reason}", hint="measure it anew")
    return evidence


def _of_diagnosis(source: str, diagnosis: "Diagnosis") -> GateEvidence:
    from qdiag.reading.words.commands.repairing import commands

    return GateEvidence(source, diagnosis.measurement, diagnosis.ranking, commands(diagnosis))


def _holds_diagnosis(text: str) -> bool:
    if _DIAGNOSIS.match(text):  # as it is written: nothing is parsed twice
        return True
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        raise LoadError("this is no JSON", hint=_HINT) from None
    return isinstance(plain, dict) and "measurement" in plain
