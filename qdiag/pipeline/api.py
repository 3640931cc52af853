"""The same from Python: objects in, one frozen result out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qdiag.capture.state import own_randomness
from qdiag.config import DEFAULT_PRESET
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import TaskKind
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, telling_hints
from qdiag.files.target import check_new, check_writable
from qdiag.pipeline.deployed.repaired import diagnose_file, with_repaired_file
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.in_python.opened import ModelRequest, QuantizedFile, open_given
from qdiag.pipeline.preparation.given import Data, Model, datasets_of, request_of, scheme_of, subject_of
from qdiag.pipeline.ranges import range_subject
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.session import open_session


def diagnose(
    model: Model,
    batches: Data,
    *,
    scheme: QuantScheme | str = "int8",
    calibration: Data | None = None,
    device: str = "cpu",
    task: TaskKind | None = None,
    output: str | None = None,
    metric: object | None = None,
    preset: str | None = None,
    arch: str | None = None,
    trust: bool = False,
    quantized: QuantizedFile | None = None,
    overrides: Sequence[str] = (),
    repaired: str | Path | None = None,
    force: bool = False,
    with_sensitivity: bool = True,
    with_bits: bool = True,
    exhaustive: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Why a network loses accuracy when it is quantized, and what repairs it: what `qdiag diagnose` prints.

    `result.ranking.harm` says what quantization costs, `result.ranking.claimed` are the causes, each with the repairs
    that were tried, best first, and `result.measurement` is what `measure` returns.

    Args:
        model, batches, scheme, calibration, device, task, output, metric, preset, arch, trust, quantized, overrides: as
            in `measure`. A quantized file is also run in its runtime (`result.verification`), and `result.file_edits`
            says what the repairs change in it.
        repaired: where the quantized file goes with the repairs that help; nothing is written where none does, and
            `result.notes` says so. It is run in its runtime too (`result.repaired_run`). force: it replaces a file.
        with_sensitivity: layers quantized alone too. with_bits: other widths too, from 4 to 16 bits.
        exhaustive: everything is measured on all samples, every layer alone, and every width.
        seed: of the places where placebos are made.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.

    Examples:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
        >>> result = diagnose(net, torch.randn(8, 3, 16, 16), scheme="int8")
        >>> result.ranking.harm.verdict, result.ranking.claimed
        ('healthy', ())
    """
    options = DiagnoseOptions(with_sensitivity=with_sensitivity, with_bits=with_bits, is_exhaustive=exhaustive)
    request = request_of(task, output, metric)
    with telling_hints(), open_session(device=device, progress=progress, seed=seed) as session, own_randomness():
        given = ModelRequest(model, scheme, arch, trust, quantized, overrides)
        experiment = open_given(session, given, batches, calibration, preset, request)
        if repaired is not None and experiment.deployed is None:
            raise ConfigError(
                "no quantized file is given", at="`repaired`", hint="give it as `quantized`, or as the model"
            )
        if repaired is not None:
            check_writable(repaired)
            check_new(repaired, force=force)
        result, file = diagnose_file(session, experiment, options)
        if repaired is not None and file is not None:
            result, error = with_repaired_file(session, experiment, file, repaired, result)
            if error is not None:
                raise error
        return result


def measure(
    model: Model,
    batches: Data,
    *,
    scheme: QuantScheme | str = "int8",
    calibration: Data | None = None,
    device: str = "cpu",
    task: TaskKind | None = None,
    output: str | None = None,
    metric: object | None = None,
    preset: str | None = None,
    arch: str | None = None,
    trust: bool = False,
    quantized: QuantizedFile | None = None,
    overrides: Sequence[str] = (),
    with_losses: bool = False,
    exhaustive: bool = False,
    progress: Progress | None = None,
) -> Measurement:
    """Where a network loses its signal when it is quantized, layer by layer: what `qdiag sqnr` prints.

    Args:
        model: a module, a `torch.export` program, what `load_model` returned, or the path of a file, in any form that
            the command line takes. It is left exactly as it was.
        batches: what to measure on. A path, in any form that `qdiag sqnr --data` takes: a quarter of it calibrates, 128
            samples at most, where `calibration` gives nothing else. Or an object: a tensor (N, ...), a pair (inputs,
            labels), a Dataset, or an iterable of batches that can be gone through more than once; a batch is a tensor,
            (inputs, labels) or a dictionary. Labels are class numbers, masks, floats, boxes, texts, or a tree of these
            (docs/data.md).
        scheme: a preset's name (see `qdiag schemes`), the path of a TOML file, or a `QuantScheme`.
        calibration: what to calibrate on, in the same forms; without it, an object serves for both, and the result says
            so (`data.split`).
        preset: how the pixels of a path are prepared: `imagenet`, `tf`, ... (docs/data.md). 8-bit images, of a path or
            an object, are divided by 255 without it.
        arch: what builds the network of a state dict at a path. trust: a pickle at a path may run.
        quantized: a file of integers that was made from the model, ONNX or LiteRT: what it quantizes, and how, takes
            the place of the scheme (docs/deployed.md).
        overrides: fields of the scheme, or of what the file says, in place of theirs: `["weights.bits=4"]`.
        device: `cpu`, `cuda` or `auto`.
        task: what the network does, where labels and names do not say it: `classify`, `segment`, `detect`, `regress`,
            `embed`, or `none` to judge by the SQNR of the outputs.
        output: name of the output to judge.
        metric: your own figure, by which the network is then judged: `function(outputs, targets)` returning scores (N,)
            or one number, or a class or an object with `update`, `compute` and `reset`; or a `MetricRequest`, which
            says its direction and limit too.
        with_losses: also the five losses of arXiv 1803.08607 per layer, on all samples.
        exhaustive: layers are measured on all samples, too; otherwise on 32, or up to 128 where that gives each of
            them 10,000 values; the result says so (`layer_sample_count`). Layers with fewer values are on all samples.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.

    Examples:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
        >>> result = measure(net, torch.randn(8, 3, 16, 16), scheme="int8")
        >>> [record.name for record in result.records]
        ['input:input', '0']
    """
    request = request_of(task, output, metric)
    with telling_hints(), open_session(device=device, progress=progress) as session, own_randomness():
        given = ModelRequest(model, scheme, arch, trust, quantized, overrides)
        brief = replace(session, with_channels=False)
        experiment = open_given(brief, given, batches, calibration, preset, request, ranges_of_file="none")
        return measure_experiment(brief, experiment, with_losses=with_losses, on_all=exhaustive)


def ranges(
    model: Model,
    batches: Data,
    *,
    scheme: QuantScheme | str | None = None,
    fold_batchnorm: bool = True,
    device: str = "cpu",
    preset: str | None = None,
    arch: str | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> RangeReport:
    """Where the values of every weight and every layer's output lie: what `qdiag ranges` prints.

    Args:
        model, batches, device, preset, arch, trust: as in `measure`.
        scheme: whose quantizers stand beside the ranges, calibrated on the same samples; without it, none do.
        fold_batchnorm: False keeps BatchNorm apart, whatever the scheme says.

    Raises:
        QdiagError: something cannot be used; says what, where and what to do.
    """
    resolved = scheme_of(DEFAULT_PRESET if scheme is None else scheme)
    if not fold_batchnorm:
        resolved = replace(resolved, fold_batchnorm=False)
    with telling_hints(), open_session(device=device, progress=progress) as session, own_randomness():
        datasets, subject = datasets_of(batches, None, preset), subject_of(model, arch=arch, trust=trust)
        return range_subject(session, subject, datasets, resolved, with_quantizers=scheme is not None)
