"""Quantization-friendly separable convolutions (arXiv 1803.08607): MobileNetV1 in the source's variants.

The depthwise kernels start as in the source's code, from a normal distribution of standard deviation 0.09 cut off at
two of these, and decay in variant d alone. A high learning rate and a strong decay of the pointwise weights stand for
the long training of the source: both let channels die.
"""

import copy
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from qdiag.core.measures.measurement import Measurement
from qdiag.core.reproductions.drawings import Bars, Lines
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.diagnose import bits_sweep
from qdiag.pipeline.fix_bn import FixOptions, fix_unproved
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.reproduce.decay import with_decay
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.figures import float_top1, top1
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.reasons import is_missed, spread
from qdiag.subject import Subject
from qdiag.train.plain.settings import PlainSettings
from qdiag.zoo.mobilenet_v1 import VARIANTS
from qdiag.zoo.regularizers import depthwise_l2

SCHEME = "tf-uint8"
WIDTHS = (6, 4)
"""Bits of all weights and activations, beside the 8 of the scheme."""
_WIDTH = 0.25
"""Of MobileNetV1, as a factor on its channels."""
_FLOAT = PlainSettings(learning_rate=1.0, nesterov=True)
_BATCH_AT_MOST = 64
"""Larger batches are less noisy, and let fewer channels die."""
_DECAY = 7.0
"""Of the pointwise weights over the whole training, see `with_decay`."""
_DEPTHWISE_DECAY = 0.2
"""Of the depthwise weights in variant d. No BatchNorm follows them, so that decay makes what they give smaller."""
_DEPTHWISE_STD = 0.09
_DEAD_OVER_EPS = 1e-3
"""A channel is counted as dead where its variance is below this share of eps, which then sets its gain alone."""
_ROWS = ("a", "a_fixed", "b", "c", "d")
_FALL, _HOLD = 10.0, 5.0
"""Percentage points: more is a fall, less holds."""


def run_seed(lab: Lab) -> None:
    """All variants from the same seed; of the first, also a copy whose dead channels get the others' variance."""
    batched = replace(_FLOAT, batch_size=min(lab.batch_size, _BATCH_AT_MOST))
    settings = with_decay(lab, batched, _DECAY)
    depthwise = with_decay(lab, batched, _DEPTHWISE_DECAY).weight_decay
    for variant in VARIANTS:
        model = lab.build("mobilenet_v1_small", width=_WIDTH * lab.width, variant=variant)
        start_depthwise(model, lab.seed)
        penalty = partial(_half_depthwise_l2, depthwise) if variant == "d" else None
        with lab.variant(variant):
            trained = lab.train(model, settings, name=f"variant {variant}", penalty=penalty, undecayed=is_depthwise)
            lab.curve("training", variant, trained.losses)
            _measure(lab, model, variant)
            if variant == "a":
                _measure(lab, repaired(model), "a_fixed")


def start_depthwise(model: nn.Module, seed: int) -> None:
    """Depthwise kernels of TensorFlow's `truncated_normal_initializer(stddev=0.09)`, in place."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if is_depthwise(name, parameter):
            bound = 2.0 * _DEPTHWISE_STD
            nn.init.trunc_normal_(parameter, std=_DEPTHWISE_STD, a=-bound, b=bound, generator=generator)


def is_depthwise(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is the kernel of a depthwise convolution."""
    return name.endswith(".dw.weight")


def _half_depthwise_l2(weight_decay: float, model: nn.Module) -> Tensor:
    return 0.5 * weight_decay * depthwise_l2(model)


def repaired(model: nn.Module) -> nn.Module:
    """A copy in which channels without variance have the mean variance of their layer's others: `qdiag fix-bn`."""
    subject = Subject(model, "module", "variant a", "MobileNetV1")
    audit = audit_batchnorms(subject)
    _, changes = fix_unproved(subject, audit, FixOptions(), "it is measured beside the others")
    fixed = copy.deepcopy(model)
    fixed.load_state_dict({**fixed.state_dict(), **changes})
    return fixed


def _measure(lab: Lab, model: nn.Module, row: str) -> None:
    experiment = lab.begin(model, SCHEME)
    found = measure_experiment(lab.session.timed_anew(), experiment)
    lab.record(row, "float", float_top1(found))
    lab.record(row, "int8", top1(found))
    lab.record(row, "drop", float_top1(found) - top1(found))
    for point in bits_sweep(lab.session, experiment.case, WIDTHS):
        lab.record(row, f"int{point.bits}", point.score.task_value)
    widths = folded_widths(model)
    lab.record(row, "stretch", max(max_over_median(width) for width in widths.values()))
    lab.curve("stretch", row, [max_over_median(width) for width in widths.values()], list(widths))
    names, decibels = _sqnr_by_layer(found)
    lab.curve("sqnr", row, decibels, names)
    gains = depthwise_gains(model)
    if gains:
        lab.record(row, "dead", sum(float(dead) for _, dead in gains.values()))
        first = next(iter(gains.values()))[0].sort(descending=True).values
        lab.curve("gains", row, first.tolist(), [str(rank + 1) for rank in range(len(first))])


def _sqnr_by_layer(found: Measurement) -> tuple[list[str], list[float]]:
    """SQNR at the output of each layer with a weight, inside the quantized network, in dB."""
    records = [record for record in found.records if record.weight is not None]
    return [record.name for record in records], [record.propagated.sqnr_db for record in records]


def folded_widths(model: nn.Module) -> dict[str, Tensor]:
    """Largest |weight| of each channel, (C,), with its BatchNorm folded in, by depthwise convolution."""
    found = {}
    for name, block in _blocks(model):
        width = block.get_parameter("dw.weight").detach().abs().flatten(1).amax(1)
        gain = _gain(block.get_submodule("dw_bn"))
        found[f"{name}.dw"] = width if gain is None else width * gain
    return found


def depthwise_gains(model: nn.Module) -> dict[str, tuple[Tensor, int]]:
    """|gamma| / sqrt(variance + eps), (C,), and how many channels have next to no variance, by depthwise convolution;
    empty where no BatchNorm follows these."""
    found = {}
    for name, block in _blocks(model):
        norm = block.get_submodule("dw_bn")
        gain = _gain(norm)
        if gain is not None:
            dead = norm.get_buffer("running_var") < _DEAD_OVER_EPS * _eps(norm)
            found[f"{name}.dw"] = gain, int(dead.sum())
    return found


def max_over_median(widths: Tensor) -> float:
    """Of the channels of a layer, (C,)."""
    return float(widths.max() / widths.median().clamp(min=torch.finfo(torch.float32).tiny))


def _blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(f"blocks.{name}", block) for name, block in model.get_submodule("blocks").named_children()]


def _gain(norm: nn.Module) -> Tensor | None:
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None:
        return None
    return (norm.weight.detach() / (norm.running_var + norm.eps).sqrt()).abs()


def _eps(norm: nn.Module) -> float:
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.eps


def reasons(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """Why it did not come out: hardly a channel died, those that did are harmless, or the seeds differ too much."""
    found, key = list[Reason](), judged.expectation.key
    if not is_missed(judged):
        return spread(result, judged)
    dead, stretch = result.cell("a", "dead").mean, result.cell("a", "stretch").mean
    if key in ("a_falls", "fix_helps"):
        found.append(Reason("few_dead" if dead < 1.0 else "dead_harmless", {"dead": dead, "stretch": stretch}))
    if key == "fix_helps" and dead >= 1.0:
        left = result.cell("a_fixed", "stretch").mean
        found.append(Reason("live_outliers", {"before": stretch, "after": left}))
    if key in ("b_holds", "c_holds", "d_holds"):
        found.append(Reason("loses_elsewhere", {"stretch": result.cell(judged.expectation.left.row, "stretch").mean}))
    return (*found, *spread(result, judged))


MOBILENET = PaperExperiment(
    name="mobilenet",
    rows=_ROWS,
    columns=("float", "int8", "drop", "int6", "int4", "dead", "stretch"),
    expectations=(
        Expectation("a_falls", "more", Place("a", "drop"), None, _FALL),
        Expectation("b_holds", "less", Place("b", "drop"), None, _HOLD),
        Expectation("c_holds", "less", Place("c", "drop"), None, _HOLD),
        Expectation("d_holds", "less", Place("d", "drop"), None, _HOLD),
        Expectation("float_alike", "less", Place("a", "float"), Place("b", "float"), _HOLD),
        Expectation("fix_helps", "more", Place("a_fixed", "int8"), Place("a", "int8"), _FALL),
    ),
    drawings=(
        Bars("accuracy", _ROWS, ("float", "int8", "int6", "int4")),
        Lines("gains"),
        Lines("stretch"),
        Lines("sqnr"),
    ),
    run_seed=run_seed,
    reasons=reasons,
    level=Place("a", "float"),
    digit_epochs=60,
)
