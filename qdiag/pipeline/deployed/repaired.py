"""A quantized file with the repairs of a diagnosis in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qdiag.config import change_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.ranking import Ranking, WaterfallStep
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.edit import EditedTensor, FileEdit
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.errors import LoadError, QdiagError, RepairRefused, WriteError
from qdiag.files.atomic import write_file
from qdiag.integer_file import TensorEdit
from qdiag.litert.edited.write import written as written_to_litert
from qdiag.loaders.models.operations.onnx import self_contained
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.quantized.unpack import name_in_file
from qdiag.onnx.quantized.write import written
from qdiag.pipeline.begin import Experiment
from qdiag.pipeline.deployed.edits import tensor_edits
from qdiag.pipeline.deployed.plan import DeployedPlan
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.pipeline.export.formats import IntegerFormat, format_for
from qdiag.pipeline.verify.verify import verify_case
from qdiag.rank.bench import Bench
from qdiag.rank.suspects import Suspect, suspects_of
from qdiag.rank.waterfall import EVERYWHERE
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.session import Session

NOTHING_WRITTEN = "no repaired file is written"


@dataclass(frozen=True, eq=False)
class RepairedFile:
    """What a diagnosis changes in its file.

    Attributes:
        deployed: the file. edits: its tensors that change. case: the network with the repairs.
    """

    deployed: DeployedPlan
    edits: tuple[TensorEdit, ...]
    case: Case

    @property
    def source(self) -> str:
        """Path of the file as it was read."""
        return self.deployed.file.source

    def content(self) -> bytes:
        """The repaired file, in the format of the one that was read.

        Raises:
            RepairRefused: nothing in it changes.
            WriteError: its nodes are others by now, or its operators cannot hold what changes.
        """
        if not self.edits:
            raise RepairRefused(
                "no repair that a file can hold recovered anything", at=self.source, hint="look at what was tried"
            )
        try:
            content = self_contained(Path(self.source))
        except LoadError as error:
            raise WriteError(error.message, at=self.source) from error
        if self.deployed.file.encoding == "LiteRT":
            return written_to_litert(content, self.edits, self.source)
        return written(content, self.edits, self.source)


def diagnose_file(
    session: Session, experiment: Experiment, options: DiagnoseOptions | None = None
) -> tuple[Diagnosis, RepairedFile | None]:
    """`diagnose_experiment`, and what its repairs change in the quantized file; None where there is no file.

    Raises:
        QdiagError: see `diagnose_experiment`.
    """
    if experiment.deployed is None:
        return diagnose_experiment(session, experiment, options), None
    source = experiment.deployed.file.source
    verification, note = _verified(session, experiment, experiment.case, None, source)
    diagnosis = diagnose_experiment(session, experiment, options, verification)
    diagnosis = replace(diagnosis, notes=(*diagnosis.notes, *filter(None, (note,))))
    with session.stage("repaired file"):
        after = _repaired_case(session, experiment.case, diagnosis)
        edits = tensor_edits(experiment.deployed, experiment.case, after) if after is not experiment.case else ()
    repaired = RepairedFile(experiment.deployed, edits, after)
    return replace(diagnosis, file_edits=_records(experiment, repaired)), repaired


def run_repaired(
    session: Session, experiment: Experiment, file: RepairedFile, content: bytes, path: str
) -> tuple[Verification | None, str]:
    """The repaired file in its runtime on the measured data, beside the repaired network; or why it was not run."""
    return _verified(session, experiment, file.case, content, path)


def with_repaired_file(
    session: Session, experiment: Experiment, file: RepairedFile, target: str | Path, diagnosis: Diagnosis
) -> tuple[Diagnosis, WriteError | None]:
    """The diagnosis with the repaired quantized file, which is written and run in its runtime.

    Returns:
        With notes on why none is written or run, and the error of the writing: a diagnosis is told all the same.
    """
    try:
        content = file.content()
        write_file(target, content)
    except RepairRefused as refused:
        is_healthy = diagnosis.ranking.harm.verdict == "healthy"
        why = "no harm was measured" if is_healthy else refused.message
        return replace(diagnosis, notes=(*diagnosis.notes, f"{NOTHING_WRITTEN}: {why}")), None
    except WriteError as error:
        return diagnosis, error
    run, why = run_repaired(session, experiment, file, content, str(target))
    notes = (*diagnosis.notes, *filter(None, (why,)))
    return replace(diagnosis, repaired_file=str(target), repaired_run=run, notes=notes), None


def _verified(
    session: Session, experiment: Experiment, case: Case, content: bytes | None, source: str
) -> tuple[Verification | None, str]:
    """A file run in its runtime; that it cannot be run here is no reason to stop. None: it is read."""
    try:
        content = self_contained(Path(source)) if content is None else content
        with session.watch.stage("runtime"):
            return verify_case(
                *(session, experiment, case, _format(experiment), content, None), source=source, limits=VerifyLimits()
            ), ""
    except QdiagError as error:
        return None, f"{source} was not run in its runtime: {error}"


def _format(experiment: Experiment) -> IntegerFormat:
    """What runs the file: for LiteRT the kernels whose rules are simulated, or else those that it takes itself."""
    assert experiment.deployed is not None
    if experiment.deployed.file.encoding != "LiteRT":
        return format_for("ort")
    rules = experiment.case.scheme.arithmetic
    return format_for(rules if rules in ("tflite-ref", "tflite") else "xnnpack")


def _repaired_case(session: Session, case: Case, diagnosis: Diagnosis) -> Case:
    """The repairs of the sequence, made again on top of one another; without any, the best change of scheme where the
    network is not healthy as it is."""
    ranking = diagnosis.ranking
    context = RepairContext(diagnosis.batchnorms, {facts.layer: facts for facts in diagnosis.facts}, session)
    suspects = suspects_of(ranking.findings)
    bench = Bench(case, REPAIRS, context, suspects)
    done = case
    for step in ranking.waterfall:
        suspect = _suspect_of(step, suspects, case)
        attempt = bench.apply(suspect, step.repair, done, suspect.sites)
        done = attempt.treatment.case if attempt.treatment is not None else done
    if done is case:
        settings = _way_around(ranking)
        done = with_scheme(session, case, change_scheme(case.scheme, settings)) if settings else case
    return done


def _suspect_of(step: WaterfallStep, suspects: Sequence[Suspect], case: Case) -> Suspect:
    own = [one for one in suspects if one.code == step.code]
    at = [one for one in own if any(site.layer in step.layers for site in one.sites)]
    if at or own:
        return (at or own)[0]
    sites = [FindingSite(layer.name) for layer in case.network.graph.layers if layer.weight is not None]
    return Suspect("", "weight", sites, list(EVERYWHERE))


def _way_around(ranking: Ranking) -> tuple[str, ...]:
    if ranking.way_around is None or ranking.waterfall or ranking.harm.verdict == "healthy":
        return ()
    return ranking.way_around.settings


def _records(experiment: Experiment, repaired: RepairedFile) -> tuple[FileEdit, ...]:
    """The edits in plain numbers."""
    found = []
    before = experiment.case.plan.layers
    layers = {name: (layer, kind) for name, layer, kind in _places(repaired.deployed)}
    for edit in repaired.edits:
        layer, kind = layers[edit.name]
        old = before[layer].output if kind == "output" else before[layer].weight
        was = old.record() if kind != "bias" and isinstance(old, Affine) else None
        now = edit.quantizer.record() if edit.quantizer is not None else None
        count = edit.quantizer.scale.numel() if edit.quantizer is not None else 1
        found.append(FileEdit(layer, name_in_file(edit.name), kind, was, now, count))
    return tuple(found)


def _places(deployed: DeployedPlan) -> list[tuple[str, str, EditedTensor]]:
    """Tensors of the file, the layers of the float network that have them, and what they are there."""
    found: list[tuple[str, str, EditedTensor]] = []
    for layer, name in deployed.match.pairs.items():
        own = deployed.found.layers[name]
        found += [(tensor, layer, "output") for tensor in own.tensors]
        found += [(own.weight_origin[0], layer, "weight"), (own.bias_origin[0], layer, "bias")]
    return found
