"""From the options that several commands share to the model, the data and the scheme."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qdiag.cli.options.common import (
    ArchOption,
    InputShapeOption,
    KeyOption,
    ModelArgument,
    SubmoduleOption,
    TrustOption,
)
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.given import was_given
from qdiag.cli.options.parse import parse_shape
from qdiag.cli.options.preprocessing import preprocessing_of
from qdiag.cli.options.scheme import DEFAULTS
from qdiag.cli.options.task import TaskOptions
from qdiag.config import load_scheme
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qdiag.batches import Datasets
    from qdiag.loaders.data.split import RangeUse
    from qdiag.loaders.models.tensors import NamedTensors
    from qdiag.pipeline.begin import Experiment
    from qdiag.simulate.session import Session
    from qdiag.subject import Subject

_RULES = ("arithmetic=", "pair_saturation=", "accumulator_bits=")
"""Changes of a scheme that no range depends on."""


@dataclass(frozen=True)
class ModelOptions:
    """The panel `Model`."""

    model: ModelArgument
    arch: ArchOption = None
    trust: TrustOption = False
    submodule: SubmoduleOption = None
    input_shape: InputShapeOption = None
    key: KeyOption = None


def open_subject(options: ModelOptions, *, kept: "Collection[str]" = ()) -> "Subject":
    """The model.

    Args:
        kept: see `load_subject`.

    Raises:
        LoadError, ConfigError: see `qdiag.loaders.models.formats`.
    """
    from qdiag.loaders.models.formats import load_subject

    return load_subject(
        options.model,
        arch=options.arch,
        trust=options.trust,
        submodule=options.submodule,
        key=options.key,
        kept=frozenset(kept),
    )


def open_subject_or_tensors(options: ModelOptions) -> "Subject | NamedTensors":
    """The model, or the weights alone of a file that does not say which network they belong to.

    Raises:
        LoadError, ConfigError: see `qdiag.loaders.models.tensors`.
    """
    from qdiag.loaders.models.tensors import load_subject_or_tensors

    return load_subject_or_tensors(
        options.model, arch=options.arch, trust=options.trust, submodule=options.submodule, key=options.key
    )


def open_data(
    options: DataOptions, model: ModelOptions, subject: "Subject", session: "Session", ranges: "RangeUse" = "all"
) -> "Datasets":
    """The data that was given, or drawn inputs where none was.

    Args:
        ranges: what takes ranges from samples, see `SplitWishes`.

    Raises:
        DataError: data that cannot be used.
        ConfigError: neither data nor a shape to draw in.
    """
    shape = parse_shape(model.input_shape)
    if options.data is None:
        check_drawn(options, model)
        return _drawn(session, subject, options, shape)
    from qdiag.loaders.data.arguments import with_arguments
    from qdiag.loaders.data.sources import DataRequest, open_datasets

    request = DataRequest(
        data=options.data,
        calib_data=options.calib_data,
        targets=options.targets,
        preprocessing=preprocessing_of(options),
        samples=options.samples,
        calib_samples=options.calib_samples,
        calib_share=options.calib_share,
        batch_size=options.batch_size,
        seed=options.seed,
        input_shape=shape,
        trains=options.trains,
        ranges=ranges,
    )
    with session.untimed_stage("open the data"):
        return with_arguments(open_datasets(request), options.arg or ())


def open_experiment(
    session: "Session",
    model: ModelOptions,
    data: DataOptions,
    scheme: QuantScheme,
    task: TaskOptions | None = None,
    quantized: str | None = None,
    changes: "Sequence[str]" = (),
    *,
    repairs: bool = True,
) -> "Experiment":
    """The model, captured and calibrated on the data.

    Args:
        quantized: a file that was made from the model. changes: values of `--set`, on top of what such a file says.
        repairs: some may be made, which need ranges that a quantized file has not.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.
    """
    from qdiag.loaders.models.formats import load_subject
    from qdiag.pipeline.begin import begin
    from qdiag.pipeline.deployed.plan import is_integer_file, quantized_tensors

    with session.watch.told("load the model"):
        file = None if quantized is None else load_subject(quantized, trust=model.trust)
        subject = open_subject(model, kept=() if file is None else quantized_tensors(file))
    ranges: RangeUse = "all"
    if file is not None or is_integer_file(subject):
        ranges = "repairs" if repairs else "none" if all(one.startswith(_RULES) for one in changes) else "all"
        if scheme.arithmetic != "float":
            changes = (*changes, f"arithmetic={scheme.arithmetic}")
        check_no_scheme(scheme, changes)
    else:
        changes = ()
    datasets = open_data(data, model, subject, session, ranges)
    return begin(session, subject, datasets, scheme, (task or TaskOptions()).request, file, changes)


def check_no_scheme(scheme: QuantScheme, changes: "Sequence[str]" = ()) -> None:
    """A quantized file is measured: it says what a scheme would.

    Args:
        scheme: after all options. changes: values of `--set`, which may stand beside a file.

    Raises:
        ConfigError: a scheme was given as well.
    """
    usual = [replace(load_scheme(name, changes), name="") for name in DEFAULTS]
    if was_given("scheme") or replace(scheme, name="") not in usual:
        raise ConfigError(
            "a scheme, and a file that is quantized already",
            hint="leave --scheme away: the file says what is quantized, and how",
        )


def check_drawn(options: DataOptions, model: ModelOptions) -> None:
    """Where there are no data: what needs them is refused, and so is a model that cannot say what to draw.

    Raises:
        ConfigError: an option that needs --data, or no shape to draw inputs in.
    """
    if options.data is not None:
        return
    if options.arg:
        raise ConfigError("--arg needs --data", hint="inputs are drawn for networks with one float input alone")
    if options.calib_data is not None:
        raise ConfigError("--calib-data needs --data", hint="give --data PATH to measure on")
    if options.targets is not None:
        raise ConfigError("--targets needs --data", hint="give --data PATH, a folder of images")
    if preprocessing_of(options) is not None:
        raise ConfigError("options of preprocessing need --data", hint="drawn inputs come as the network takes them")
    says_no_shape = model.arch is not None or model.model.startswith("zoo:") or ".py:" in model.model
    if says_no_shape and parse_shape(model.input_shape) is None:
        raise _no_shape()


def _no_shape() -> ConfigError:
    return ConfigError(
        "no --data, and no shape to draw inputs in",
        at="--input-shape",
        hint="give --data PATH, or --input-shape 1,3,224,224 for a data-free result",
    )


def _drawn(session: "Session", subject: "Subject", options: DataOptions, shape: tuple[int, ...] | None) -> "Datasets":
    shape = shape or _exported_shape(subject)
    if shape is None:
        raise _no_shape()
    from qdiag.pipeline.preparation.synthesize import synthesize_datasets

    return synthesize_datasets(
        session,
        subject,
        shape,
        samples=options.samples,
        calib_samples=options.calib_samples,
        batch_size=options.batch_size,
    )


def _exported_shape(subject: "Subject") -> tuple[int, ...] | None:
    """A saved program remembers the inputs it was exported with, and an ONNX file may say their shape."""
    from torch import Tensor
    from torch.export import ExportedProgram

    from qdiag.onnx.network import OnnxNetwork

    if isinstance(subject.model, OnnxNetwork):
        return subject.model.inputs[0].whole_shape
    if not isinstance(subject.model, ExportedProgram) or subject.model.example_inputs is None:
        return None
    args, _ = subject.model.example_inputs
    first = args[0] if args else None
    return tuple(first.shape) if isinstance(first, Tensor) else None
