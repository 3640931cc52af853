"""Quantization-aware training against quantization after training (arXiv 1712.05877; 1806.08342, tables 4 and 5).

A small MobileNetV1, in 8, 4 and 3 bits per weight, with one scale for each tensor or one for each output channel;
activations have 8 bits throughout.
"""

from dataclasses import replace

from qdiag.config import load_preset
from qdiag.core.measures.measurement import Measurement
from qdiag.core.reproductions.drawings import Bars, Lines
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place
from qdiag.core.scheme import QuantScheme
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.figures import float_top1, saved_percent, top1
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.reasons import spread, unfinished
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings

_WIDTH = 0.5
"""Of MobileNetV1, as a factor on its channels."""
_FLOAT = PlainSettings(learning_rate=0.1)
_TUNED = TrainingSettings(learning_rate=0.01, weight_decay=5e-4, averaging_constant=0.05, freeze_bn_after=None)
_SHARE = 0.25
"""Epochs of a training with quantizers over those of the float network."""
_QUANTIZED = ((8, "t"), (8, "c"), (4, "t"), (4, "c"), (3, "t"), (3, "c"))
_TRAINED = ((4, "t"), (4, "c"), (3, "t"), (3, "c"))
_ROWS = ("float", *(f"ptq{bits}{kind}" for bits, kind in _QUANTIZED), *(f"qat{bits}{kind}" for bits, kind in _TRAINED))
_LOSS_TO_SPEAK_OF = 1.0
"""Percentage points."""


def scheme_of(bits: int, granularity: str) -> QuantScheme:
    """Weights of so many bits, `t` with one scale for each tensor, affine, or `c` one per channel, symmetric."""
    scheme = load_preset("tf-uint8" if granularity == "t" else "int8")
    is_narrow = granularity == "c" and bits < 8
    weights = replace(scheme.weights, bits=bits, narrow_range=is_narrow)
    return replace(scheme, name=f"w{bits}a8, per {'tensor' if granularity == 't' else 'channel'}", weights=weights)


def run_seed(lab: Lab) -> None:
    """One float network, measured under all schemes, and trained under some."""
    model = lab.build("mobilenet_v1_small", width=_WIDTH * lab.width)
    trained = lab.train(model, replace(_FLOAT, batch_size=lab.batch_size), name="float network")
    lab.curve("training", "float", trained.losses)
    begun = lab.begin(model, scheme_of(8, "t"))
    for bits, granularity in _QUANTIZED:
        found = lab.measure(begun, scheme_of(bits, granularity))
        level = float_top1(found)
        _record(lab, f"ptq{bits}{granularity}", found, level)
    lab.record("float", "top1", level)
    settings = replace(_TUNED, batch_size=lab.batch_size)
    for bits, granularity in _TRAINED:
        row = f"qat{bits}{granularity}"
        with lab.variant(row):
            found, training = lab.train_quantized(begun, scheme_of(bits, granularity), settings, share=_SHARE, name=row)
            _record(lab, row, found, level)
            lab.curve("training", row, [epoch.training_loss for epoch in training.epochs[1:]])


def _record(lab: Lab, row: str, found: Measurement, level: float) -> None:
    """Beside the level of the float network as it was before any training with quantizers."""
    lab.record(row, "top1", top1(found))
    lab.record(row, "drop", level - top1(found))
    lab.record(row, "saved", saved_percent(found))


def reasons(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """There was nothing to lose or to recover, the training was not done, or the seeds differ."""
    found: list[Reason] = []
    row = (judged.expectation.right or judged.expectation.left).row
    lost = result.cell(row, "drop")
    if row.startswith("ptq") and lost.values and lost.mean < 2 * _LOSS_TO_SPEAK_OF:
        found.append(Reason("nothing_lost", {"drop_pp": lost.mean}))
    if judged.expectation.left.row.startswith("qat"):
        found += unfinished(result, "training", judged.expectation.left.row)
    return (*found, *spread(result, judged))


QAT = PaperExperiment(
    name="qat",
    rows=_ROWS,
    columns=("top1", "drop", "saved"),
    expectations=(
        Expectation("holds_8c", "close", Place("ptq8c", "drop"), None, 1.0),
        Expectation("loses_4t", "more", Place("ptq4t", "drop"), None, _LOSS_TO_SPEAK_OF),
        Expectation("loses_4c", "more", Place("ptq4c", "drop"), None, _LOSS_TO_SPEAK_OF),
        Expectation("channels_help", "more", Place("ptq4c", "top1"), Place("ptq4t", "top1"), 0.0),
        Expectation("recovers_4t", "more", Place("qat4t", "top1"), Place("ptq4t", "top1"), _LOSS_TO_SPEAK_OF),
        Expectation("recovers_4c", "more", Place("qat4c", "top1"), Place("ptq4c", "top1"), _LOSS_TO_SPEAK_OF),
        Expectation("recovers_3t", "more", Place("qat3t", "top1"), Place("ptq3t", "top1"), _LOSS_TO_SPEAK_OF),
        Expectation("recovers_3c", "more", Place("qat3c", "top1"), Place("ptq3c", "top1"), _LOSS_TO_SPEAK_OF),
        Expectation("near_float_4c", "less", Place("float", "top1"), Place("qat4c", "top1"), 5.9),
    ),
    drawings=(
        Bars("accuracy", _ROWS, ("top1",)),
        Lines("training"),
    ),
    run_seed=run_seed,
    reasons=reasons,
    level=Place("float", "top1"),
    digit_epochs=30,
)
