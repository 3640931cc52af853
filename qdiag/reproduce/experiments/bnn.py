"""Binary and ternary weights, and binary activations (arXiv 1602.02830, 1603.05279, 1605.04711), on a small NIN.

The network, and the variants, are those of micronet: the first and the last layer stay in float. Binary weights are
signs times E|W| of each output channel, centred and clamped; ternary ones have one threshold for each layer. With
binary activations the network has signs in place of ReLUs, and is trained from its beginning with binary weights.
"""

from dataclasses import replace

from torch import nn

from qdiag.config import load_preset
from qdiag.core.reproductions.drawings import Lines, Points
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.pipeline.begin import Experiment
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.figures import float_top1, saved_percent, top1
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.reasons import spread, unfinished
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings

_WIDTH = 0.25
_FLOAT = PlainSettings(learning_rate=0.05)
_TUNED = TrainingSettings(optimizer="adam", learning_rate=2e-3)
_FROM_SCRATCH = replace(_TUNED, learning_rate=5e-3)
_SHARES = {"w1": 0.4, "w2": 0.4, "w1a1": 1.5}
"""Epochs of a training over those of the float network."""
_BINARY_ROWS = ("w1", "w2", "w1a1")


def scheme_of(row: str) -> QuantScheme:
    """The weights of a variant; activations stay as the network computes them."""
    preset = load_preset("twn" if row == "w2" else "xnor")
    activations = TensorScheme(bits=32, symmetric=False, signed=False)
    return replace(preset, name=row, float_layers=("@first", "@last"), activations=activations)


def run_seed(lab: Lab) -> None:
    """A float network; two from it with binary and ternary weights; and one with binary activations from scratch."""
    model = lab.build("nin", width=_WIDTH * lab.width)
    trained = lab.train(model, replace(_FLOAT, batch_size=lab.batch_size), name="float network")
    lab.curve("training", "float", trained.losses)
    begun = lab.begin(model, scheme_of("w1"))
    untrained = lab.measure(begun, scheme_of("w1"))
    lab.record("float", "top1", float_top1(untrained))
    lab.record("float", "saved", 0.0)
    lab.record("w1_untrained", "top1", top1(untrained))
    lab.record("w1_untrained", "saved", saved_percent(untrained))
    lab.record("w1", "float_percent", float_percent(model))
    lab.record("w1", "published_float_percent", float_percent(lab.build("nin")))
    for row in _BINARY_ROWS:
        start: Experiment | nn.Module = begun
        settings = _TUNED
        if row == "w1a1":
            start, settings = lab.build("nin", width=_WIDTH * lab.width, activations="sign"), _FROM_SCRATCH
        settings = replace(settings, batch_size=lab.batch_size)
        with lab.variant(row):
            found, training = lab.train_quantized(start, scheme_of(row), settings, share=_SHARES[row], name=row)
            lab.record(row, "top1", top1(found))
            lab.record(row, "saved", saved_percent(found))
            lab.curve("training", row, [epoch.training_loss for epoch in training.epochs[1:]])


def float_percent(model: nn.Module) -> float:
    """Share of a network's values that stay in float: all but the weights of its inner convolutions."""
    inner = [module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d)][1:-1]
    total = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    return float(100.0 * (total - sum(inner)) / total)


def reasons(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """The layers that stay in float hold much of a narrow network, a training was not done, or the seeds differ."""
    if judged.expectation.left.column == "saved":
        shares = {name: result.cell("w1", name).mean for name in ("float_percent", "published_float_percent")}
        return (Reason("rest_in_float", shares),)
    found: list[Reason] = []
    for place in (judged.expectation.left, judged.expectation.right):
        if place is not None and place.row in _BINARY_ROWS:
            found += unfinished(result, "training", place.row)
    return (*found, *spread(result, judged))


BNN = PaperExperiment(
    name="bnn",
    rows=("float", "w1_untrained", *_BINARY_ROWS),
    columns=("top1", "saved"),
    expectations=(
        Expectation("needs_training", "more", Place("w1", "top1"), Place("w1_untrained", "top1"), 10.0),
        Expectation("binary_near", "less", Place("float", "top1"), Place("w1", "top1"), 2.0),
        Expectation("ternary_near", "less", Place("float", "top1"), Place("w2", "top1"), 2.0),
        Expectation("activations_cost", "more", Place("w1", "top1"), Place("w1a1", "top1"), 0.0),
        Expectation("learns", "more", Place("w1a1", "top1"), None, 50.0),
        Expectation("saves", "more", Place("w1", "saved"), None, 90.0),
    ),
    drawings=(Points("memory", ("float", *_BINARY_ROWS), "saved", "top1"), Lines("training")),
    run_seed=run_seed,
    reasons=reasons,
    level=Place("float", "top1"),
    digit_epochs=20,
)
