"""RepVGG in the settings of QARepVGG (arXiv 2212.01593): trained with branches, fused, and quantized after that.

A setting is where BatchNorms stand, and the L2 that the training adds; all else is the same. int8 has one scale for
each tensor, as in the source.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from qdiag.config import load_preset
from qdiag.core.measures.branches import BranchBlock, Condition
from qdiag.core.reproductions.drawings import Bars, Lines
from qdiag.core.reproductions.expectations import Expectation, Judged, Reason
from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place
from qdiag.core.scheme import QuantScheme
from qdiag.errors import SimulationError
from qdiag.pipeline.branches import fuse_experiment, fused_records
from qdiag.pipeline.diagnose import bits_sweep
from qdiag.pipeline.fusion.subject import fused_state
from qdiag.reproduce.decay import with_decay
from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.figures import float_top1, top1
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.reasons import is_missed, spread
from qdiag.simulate.case import Case
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings
from qdiag.zoo.regularizers import network_l2
from qdiag.zoo.repvgg import Setting

SETTINGS: dict[str, Setting] = {"s0": "S0", "s0p": "S0'", "s1": "S1", "s2": "S2", "s3": "S3", "s4": "S4"}
"""Settings of the source by row."""
WIDTHS = (8, 6, 4)
"""Bits of all weights and activations."""
_WIDTH = 0.5
"""Of `zoo:repvgg_small`, as a factor on its channels."""
_FLOAT = PlainSettings(learning_rate=1.0, nesterov=True)
_BATCH_AT_MOST = 64
"""Larger batches are less noisy, and let fewer channels die."""
_RATES: dict[Setting, float] = {"S3": 0.05}
"""Of settings that diverge at that learning rate: in S3 nothing normalizes the 1x1 branch or the sum."""
_DECAY = 3.0
"""Of the weights over the whole training, see `with_decay`."""
_TUNED = TrainingSettings(learning_rate=0.005, batch_size=32, averaging_constant=0.05)
_ROWS = (*SETTINGS, "s4_qat")
_FALL, _HOLD, _ALIKE = 5.0, 2.5, 5.0
"""Percentage points: more is a fall, less holds; float networks are alike within the last."""
_ONE_BLOCK = 0.5
"""More blocks than this on average: one in most seeds."""
_QAT_NEAR = 1.0
"""Percentage points. The source has 0.3, less than one of two hundred images."""


@dataclass(frozen=True)
class Fused:
    """A network whose branches are one convolution each.

    Attributes:
        case: under `scheme()`. blocks: with their figures. network: the deployed form, in evaluation mode.
    """

    case: Case
    blocks: tuple[BranchBlock, ...]
    network: nn.Module


def scheme() -> QuantScheme:
    """int8 with one scale for each tensor."""
    preset = load_preset("int8")
    return replace(preset, name="int8, per tensor", weights=replace(preset.weights, granularity="per_tensor"))


def run_seed(lab: Lab) -> None:
    """All settings from the same seed, and the last one trained further with its quantizers in place."""
    alike = with_decay(lab, replace(_FLOAT, batch_size=min(lab.batch_size, _BATCH_AT_MOST)), _DECAY)
    for row, setting in SETTINGS.items():
        model = lab.build("repvgg_small", width=_WIDTH * lab.width, setting=setting)
        settings = replace(alike, learning_rate=_RATES.get(setting, alike.learning_rate))
        penalty = partial(_half_l2, setting, settings.weight_decay)
        with lab.variant(row):
            trained = lab.train(model, settings, name=f"setting {setting}", penalty=penalty, undecayed=is_branch)
            lab.curve("training", row, trained.losses)
            fused = fuse(lab, model)
            _record(lab, row, fused)
            if setting == "S4":
                _train_further(lab, fused.network)


def _train_further(lab: Lab, network: nn.Module) -> None:
    """S4 in its deployed form, with its quantizers in place."""
    with lab.variant("s4_qat"):
        tuned, _ = lab.train_quantized(network, scheme(), _TUNED, share=0.25)
        lab.record("s4_qat", "float", float_top1(tuned))
        lab.record("s4_qat", "int8", top1(tuned))
        lab.record("s4_qat", "drop", float_top1(tuned) - top1(tuned))


def is_branch(name: str, parameter: nn.Parameter) -> bool:
    """Whether the L2 of the setting takes care of it."""
    return "rbr_" in name


def _half_l2(setting: Setting, weight_decay: float, model: nn.Module) -> Tensor:
    return 0.5 * weight_decay * network_l2(model, setting)


def fuse(lab: Lab, model: nn.Module) -> Fused:
    """The deployed form of a network, and what fusing its blocks does.

    Raises:
        SimulationError: no block can be fused.
    """
    experiment = lab.begin(model, scheme())
    fused = fuse_experiment(lab.session, experiment)
    if fused.case is None:
        raise SimulationError("no block can be fused", hint="the training left weights that are not finite")
    blocks = fused_records(lab.session, experiment.case, fused)
    network = lab.build("repvgg_small", width=_WIDTH * lab.width, form="deployed")
    network.load_state_dict(fused_state(experiment.subject, experiment.case.program, fused.program.program))
    return Fused(fused.case, blocks, network.eval())


def _record(lab: Lab, row: str, fused: Fused) -> None:
    for point in bits_sweep(lab.session, fused.case, WIDTHS):
        judged = point.score.task.judged
        if judged is not None and point.bits == WIDTHS[0]:
            lab.record(row, "float", judged.reference)
            lab.record(row, "drop", judged.reference - judged.simulated)
        lab.record(row, f"int{point.bits}", point.score.task_value)
    blocks = fused.blocks
    lab.record(row, "c1", sum(is_broken(block.c1) for block in blocks))
    lab.record(row, "c2", sum(is_broken(block.c2) for block in blocks))
    lab.record(row, "identity", sum(blames_identity(block) for block in blocks))
    names = [block.name for block in blocks]
    lab.curve("weights", row, [block.fusion.weight.std for block in blocks if block.fusion is not None], names)
    lab.curve("activations", row, [_std(block) for block in blocks], names)
    identities = [(block.name, block.identity) for block in blocks if block.identity is not None]
    gains = [(name, one.norm.gain_max_abs if one.norm is not None else 1.0) for name, one in identities]
    lab.record(row, "gain", max((gain for _, gain in gains), default=0.0))
    lab.curve("gains", row, [gain for _, gain in gains], [name for name, _ in gains])


def is_broken(condition: Condition | None) -> bool:
    """Whether weights or activations of a block are known not to quantize well."""
    return condition is not None and condition.holds is False


def blames_identity(block: BranchBlock) -> bool:
    """Whether a condition does not hold, and would without the identity."""
    identity = block.identity
    return identity is not None and any(
        condition is not None and condition.at_fault == identity.name for condition in (block.c1, block.c2)
    )


def _std(block: BranchBlock) -> float:
    """Of the block's output before its ReLU, around the mean of each channel."""
    return block.output.variance_mean**0.5 if block.output is not None else float("nan")


def reasons(result: Reproduction, judged: Judged) -> tuple[Reason, ...]:
    """Why it did not come out: the conditions hold all the same, or the seeds differ too much."""
    found, key, row = list[Reason](), judged.expectation.key, judged.expectation.left.row
    if not is_missed(judged):
        counted = judged.expectation.left.column in ("c1", "c2", "identity")
        figures = {"margin": judged.margin, "seeds": len(judged.differences)}
        differ = (Reason("seeds_differ", figures),) if math.isfinite(judged.margin) else ()
        return differ if counted else spread(result, judged)
    if key in ("s0_falls", "s1_falls", "s0_c2", "s1_c1", "s0_identity", "s1_identity"):
        counts = {name: result.cell(row, name).mean for name in ("c1", "c2", "identity", "gain")}
        found.append(Reason("conditions", counts))
    if key == "qat_near" and result.cell("s4", "drop").mean < _QAT_NEAR:
        found.append(Reason("nothing_lost", {"drop_pp": result.cell("s4", "drop").mean}))
    if key == "float_alike":
        found.append(Reason("float_differs", {name: result.cell(name, "float").mean for name in ("s4", "s0")}))
    return (*found, *spread(result, judged))


REPVGG = PaperExperiment(
    name="repvgg",
    rows=_ROWS,
    columns=("float", "int8", "drop", "int6", "int4", "c1", "c2", "identity", "gain"),
    expectations=(
        Expectation("s0_falls", "more", Place("s0", "drop"), None, _FALL),
        Expectation("s1_falls", "more", Place("s1", "drop"), None, _FALL),
        Expectation("s4_holds", "less", Place("s4", "drop"), None, _HOLD),
        Expectation("float_alike", "close", Place("s4", "float"), Place("s0", "float"), _ALIKE),
        Expectation("s0_c2", "more", Place("s0", "c2"), None, _ONE_BLOCK),
        Expectation("s1_c1", "more", Place("s1", "c1"), None, _ONE_BLOCK),
        Expectation("s0_identity", "more", Place("s0", "identity"), None, _ONE_BLOCK),
        Expectation("s1_identity", "more", Place("s1", "identity"), None, _ONE_BLOCK),
        Expectation("qat_near", "less", Place("s4", "float"), Place("s4_qat", "int8"), _QAT_NEAR),
    ),
    drawings=(
        Bars("accuracy", _ROWS, ("float", "int8", "int6", "int4")),
        Lines("gains"),
        Lines("weights"),
        Lines("activations"),
    ),
    run_seed=run_seed,
    reasons=reasons,
    level=Place("s4", "float"),
    digit_epochs=40,
)
