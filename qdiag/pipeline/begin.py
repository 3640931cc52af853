"""How every run begins, and how its measurement is put together at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qdiag.batches import Batches, Datasets
from qdiag.capture.fake_quantizers.stored import stored_quantizers
from qdiag.capture.program import Program
from qdiag.config import change_scheme
from qdiag.core.measures.measurement import CaptureInfo, DataInfo, Measurement, ModelInfo
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, DataError
from qdiag.loaders.stored_network import QUANTIZED_HINT
from qdiag.pipeline.deployed.plan import CapturedFile, DeployedPlan, is_integer_file, plan_of_file
from qdiag.pipeline.facts import data_info, model_info
from qdiag.pipeline.notes import notes_on
from qdiag.pipeline.preparation.fixed_batches import in_batches_of
from qdiag.pipeline.preparation.inputs import inputs_for, naming
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.pipeline.preparation.stored_ranges import with_stored_ranges
from qdiag.pipeline.preprocessing import check_preprocessing
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.layerwise.measure import Measured
from qdiag.simulate.layerwise.op_records import float_ops
from qdiag.simulate.passes.network import Network
from qdiag.simulate.selectors import with_names
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest, choose_tasks
from qdiag.simulate.task.choice.seen import what_is_seen
from qdiag.subject import Subject


@dataclass(frozen=True)
class Experiment:
    """A model, captured and calibrated, and what it is measured on.

    Attributes:
        datasets: as they were given; the case has them as the network takes them.
        case: the untreated network.
        model, data, capture: where it all comes from, for results.
        deployed: the quantized file whose plan this is.
    """

    subject: Subject
    datasets: Datasets
    case: Case
    model: ModelInfo
    data: DataInfo
    capture: CaptureInfo
    deployed: DeployedPlan | None = None


def begin(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    request: TaskRequest | None = None,
    quantized: Subject | None = None,
    changes: Sequence[str] = (),
) -> Experiment:
    """Captures, folds and calibrates, and chooses what the network is judged by; the subject is left as it was.

    Args:
        scheme: not read where a quantized file says what is quantized and how.
        request: what the user says about the task.
        quantized: the quantized file that was made from the subject. A subject that is such a file itself is measured
            against its own weights.
        changes: fields of the scheme in place of those that the quantized file has, such as `weights.bits=4`.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    with session.stage("capture"), naming(datasets.calibration):
        inputs = inputs_for(subject, datasets, quantized)
        sources = (inputs.calibration, inputs.evaluation)
        file = _captured(session, quantized, sources, subject) if quantized is not None else None
        fold = scheme.fold_batchnorm if file is None else file.folds
        fold = fold and not is_integer_file(subject)
        program, network, capture = prepare(subject, sources, fold=fold, device=session.device)
        deployed = _deployed(subject, program, network, file)
        inputs = in_batches_of(inputs, capture.batch_size)
        with naming(datasets.evaluation):
            tasks = choose_tasks(request or TaskRequest(), what_is_seen(network, inputs.evaluation))
    if session.processes.count > 1:
        tasks.check_divisible()
    if deployed is None:
        found = stored_quantizers(subject.model, network.program, network.graph)
        scheme, ranges = with_stored_ranges(scheme, found)
        capture = replace(capture, stored_ranges=ranges)
    else:
        scheme = change_scheme(deployed.scheme, changes)
    stored = deployed.plan.stored if deployed is not None else None
    case = session.open_case(program, network, scheme, inputs, tasks, stored)
    with session.stage("data digest"):
        data = data_info(inputs, session.seed)
    model = model_info(subject)
    session.processes.check_alike(f"{model} {data}")
    return Experiment(subject, datasets, case, model, data, capture, deployed)


def _captured(session: Session, quantized: Subject, sources: Sequence[Batches], model: Subject) -> CapturedFile:
    """Its BatchNorms stay: what is folded there has no quantizer before it.

    Raises:
        QdiagError: it cannot be captured, or is not quantized.
    """
    if not is_integer_file(quantized):
        raise ConfigError(
            f"{quantized.source} is not quantized",
            at="`quantized`",
            hint=QUANTIZED_HINT,
        )
    try:
        program, network, _ = prepare(quantized, sources, fold=False, device=session.device)
    except DataError as error:
        prepare(
            model, sources, fold=False, device=session.device
        )  # where it does not take the data either, that is told
        raise ConfigError(
            f"{model.source} takes the data, and the quantized file does not: {error.message}",
            at=quantized.source,
            hint="give the network that the file was made from",
        ) from error
    return CapturedFile(quantized, program, network)


def _deployed(subject: Subject, program: Program, network: Network, file: CapturedFile | None) -> DeployedPlan | None:
    if file is not None:
        return plan_of_file(file, network, is_float=not is_integer_file(subject))
    return plan_of_file(CapturedFile(subject, program, network), None) if is_integer_file(subject) else None


def under_scheme(session: Session, experiment: Experiment, scheme: QuantScheme) -> Experiment:
    """The same model on the same data under another scheme: captured once, and calibrated anew where that is needed.

    Raises:
        CalibrationError, ConfigError: see `with_scheme`.
    """
    case = experiment.case
    return replace(experiment, case=with_scheme(session, case, with_names(scheme, case.network.graph)))


def check_quantized(case: Case) -> None:
    """Raises `ConfigError` where the scheme leaves the whole network in float."""
    if not case.plan.quantized_count:
        hint = "set weights.bits or activations.bits below 32, or take a layer out of float_layers"
        raise ConfigError("nothing would be quantized", at=case.scheme.name, hint=hint)


def measurement_of(session: Session, experiment: Experiment, measured: Measured) -> Measurement:
    """The measurement with where it comes from, and what a careful reader should know."""
    left_in_float, float_share = float_ops(experiment.case, measured.mac_counts)
    preprocessing = check_preprocessing(session, experiment.case, measured.task)
    found = Measurement(
        model=experiment.model,
        data=experiment.data,
        scheme=experiment.case.scheme,
        capture=experiment.capture,
        records=measured.records,
        outputs=measured.outputs,
        task=measured.task,
        float_ops=left_in_float,
        float_share=float_share,
        stages=session.watch.stages,
        versions=versions(),
        preprocessing=preprocessing,
        size=network_size(experiment.case),
        deployed=experiment.deployed.file if experiment.deployed is not None else None,
        layer_sample_count=measured.layer_sample_count,
    )
    case = experiment.case
    count = sum(case.plan.layers[constant.name].output is not None for constant in case.network.graph.constants)
    return replace(found, notes=notes_on(found, experiment.datasets, constant_count=count))
