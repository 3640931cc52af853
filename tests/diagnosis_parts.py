"""Parts of the hand-made diagnoses: scores, trials, suspects, and the BatchNorm audit of a MobileNet-like network."""

from dataclasses import replace

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.causes.ranking import Placebo, RankedCause, Trial, WaterfallStep
from qdiag.core.causes.score import FloatCost, Recovery, Score
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord, DeadChannel, GainOutlier, PairedLayer, RangeCost
from qdiag.core.measures.measurement import ModelInfo, OutputRecord
from qdiag.core.measures.task import Interval, PairedCounts
from tests.figures import classified
from tests.measurements import sums

SAMPLES = 500
FLOAT_RIGHT = 382
CHANNELS = 16
DEAD = {
    "blocks.0.dw": tuple(range(2, 12)),
    "blocks.1.dw": (0, 9),
    "blocks.2.dw": (3, 4),
    "blocks.5.dw": (7,),
    "blocks.10.dw": (1,),
    "blocks.11.dw": (15,),
    "blocks.12.dw": (0, 5, 6, 8),
}
"""21 dead channels in seven depthwise layers."""
WEIGHTED = ("stem.conv", *(f"blocks.{block}.{part}" for block in range(13) for part in ("dw", "pw")), "head")
"""Layers with a weight, in order."""
_BLOW_UP = {
    **{"blocks.0.dw": 79.0, "blocks.1.dw": 7.7, "blocks.2.dw": 4.6, "blocks.5.dw": 12.6},
    **{"blocks.10.dw": 8.4, "blocks.11.dw": 12.6, "blocks.12.dw": 1.9},
}


def paired(reference_right: int, simulated_right: int, simulated_only: int) -> PairedCounts:
    """Counts over SAMPLES with these sums."""
    both = simulated_right - simulated_only
    return PairedCounts(both, reference_right - both, simulated_only, SAMPLES - reference_right - simulated_only)


def score(output_db: float, right: int | None, agreement: int, simulated_only: int = 7) -> Score:
    """A network of one output of ten logits; `right` of 500 samples, None without labels."""
    top1 = None if right is None else paired(FLOAT_RIGHT, right, min(simulated_only, right))
    top5 = None if right is None else paired(473, min(473, right + 78), 0)
    if top1 is not None:  # where one network alone is right, the two do not agree
        agreement = min(agreement, SAMPLES - top1.reference_only - top1.simulated_only)
    return Score((OutputRecord("output", (10,), sums(output_db)),), classified(SAMPLES, agreement, top1, top5))


def harmed_causes(*, is_labelled: bool = True) -> tuple[RankedCause, ...]:
    """QD301 and QD101 are causes; QD201 is undecided, QD106 harmless, QD202 untested since its repair is refused."""
    dead_sites = tuple(
        FindingSite(
            name,
            channels,
            (Evidence("range_over_live", _BLOW_UP[name], "x", 1.5), Evidence("dead", len(channels), "channels")),
        )
        for name, channels in sorted(DEAD.items(), key=lambda item: -_BLOW_UP[item[0]])
    )  # fmt: skip
    dead = Finding("QD301", dead_sites, ("reset_variance_mean", "reset_variance_constant"))
    wide = Finding("QD101", _sites(3.9, 4.0, "blocks.0.dw", "blocks.1.dw", channels=(2, 9)), ("clip_weights",))
    live = Finding("QD101", _sites(5.6, 4.0, "blocks.12.dw", channels=(11,)), ("clip_weights", "equalize"))
    tails = Finding("QD201", _sites(6.5, 4.0, "blocks.12.pw"), ("clip_activations_mse",))
    shift = Finding("QD106", _sites(0.31, 0.25, "blocks.3.dw", "blocks.4.dw"), ("correct_bias",))
    cut = Finding("QD202", _sites(0.021, 0.01, "blocks.3.pw"), ("replace_relu6",))
    float_same = FloatCost(1.4e-6, 0.0, "pp", 1.0)
    placebo = Placebo(
        _sites(1.1, 4.0, "blocks.3.dw", "blocks.6.dw", channels=(4, 12)),
        _recovery(0.02, 46, 45, 1, is_labelled),
        _recovery(8.58, 327, 46, 5, is_labelled),
    )
    everywhere = tuple(site.layer for site in dead_sites)

    def trial(name: str, layers: tuple[str, ...], db: float, right: int, lost: int, **more: object) -> Trial:
        after = score(1.1 + db, right if is_labelled else None, right + 16)
        recovery = _recovery(db, right, 45, lost, is_labelled)
        return Trial(name, layers, after=after, recovery=recovery, **more)  # type: ignore[arg-type]

    mean = trial("reset_variance_mean", everywhere, 8.6, 327, 5, float_cost=float_same, placebo=placebo)
    constant = trial("reset_variance_constant", everywhere, 8.5, 325, 6, float_cost=float_same, placebo=placebo)
    clip = trial(
        *("clip_weights", ("blocks.12.dw",), 0.6, 71, 4),
        no_placebo="no other layer of this kind is without a finding",
        settings=('weights.calibrator="mse"',),
    )
    equal = trial("equalize", ("blocks.12.dw", "blocks.12.pw"), 0.5, 64, 8, float_cost=float_same, placebo=placebo)
    mse = trial("clip_activations_mse", ("blocks.12.pw",), 0.1, 48, 6, settings=('activations.calibrator="mse"',))
    written = FloatCost(0.012, 0.2, "pp", 1.0, is_of_checkpoint=True)
    bias = trial("correct_bias", ("blocks.3.dw", "blocks.4.dw"), 0.0, 45, 3, float_cost=written, placebo=placebo)
    refused = Trial("replace_relu6", ("blocks.3.pw",), refused="the float network itself loses 10.8 points",
                    float_cost=FloatCost(0.41, 10.8, "pp", 1.0))  # fmt: skip
    around = replace(per_channel_trial(is_labelled=is_labelled), layers=everywhere)
    beyond = "recovers more than noise and more than its placebo"
    return (
        RankedCause(1, "QD301", dead_sites, (dead, wide), (mean, constant, around), "cause", beyond),
        RankedCause(2, "QD101", live.sites, (live,), (clip, equal), "cause", beyond),
        RankedCause(3, "QD201", tails.sites, (tails,), (mse,), "undecided", "its interval includes zero"),
        RankedCause(4, "QD106", shift.sites, (shift,), (bias,), "harmless", "its repair recovers nothing"),
        RankedCause(5, "QD202", cut.sites, (cut,), (refused,), "untested", "its repair was refused"),
    )


def repaired_causes() -> tuple[RankedCause, ...]:
    """After the repair: the undecided and the harmless suspect are left."""
    _, _, tails, shift, _ = harmed_causes()
    again = tuple(
        replace(trial, after=score(17.9, 376, 392, 9), recovery=_recovery(0.1, 376, 374, 3, True))
        for trial in tails.trials
    )  # fmt: skip
    bias = tuple(
        replace(trial, after=score(17.8, 374, 390, 9), recovery=_recovery(0.0, 374, 374, 2, True), placebo=None)
        for trial in shift.trials
    )
    return replace(tails, rank=1, trials=again), replace(shift, rank=2, trials=bias)


def harmed_waterfall(*, is_labelled: bool = True) -> tuple[WaterfallStep, ...]:
    """The variance repair, then clipped weights in block 12: 9.0 -> 65.4 -> 74.8 %."""
    dead, live, *_ = harmed_causes(is_labelled=is_labelled)
    first = score(9.7, 327 if is_labelled else None, 343)
    second = score(17.8, 374 if is_labelled else None, 390, 9)
    clip = live.trials[0]
    return (
        WaterfallStep("QD301", dead.trials[0].repair, dead.layers, first, _recovery(8.6, 327, 45, 5, is_labelled)),
        WaterfallStep(
            "QD101", clip.repair, live.layers, second, _recovery(8.1, 374, 327, 8, is_labelled), clip.settings
        ),
    )  # fmt: skip


def per_channel_trial(*, is_labelled: bool = True) -> Trial:
    """The change of scheme: one scale per channel gives 76.2 %."""
    return Trial(
        repair="per_channel_weights",
        layers=WEIGHTED,
        after=score(21.4, 381 if is_labelled else None, 397, 5),
        recovery=_recovery(20.3, 381, 45, 3, is_labelled),
        settings=('weights.granularity="per_channel"',),
        costs=(Evidence("extra_scales", 442.0, "values"),),
    )


def batchnorms(*, repaired: bool = False) -> BatchNormAudit:
    """One BatchNorm behind each depthwise layer; 21 dead channels before the repair, a live outlier in block 12."""
    records = tuple(_batchnorm(block, f"blocks.{block}.dw", repaired) for block in range(13))
    model = ModelInfo("net.safetensors", "safetensors", "zoo:mobilenet_v1?width=0.75", 2_585_560, "3fa1c4" + "0" * 58)
    return BatchNormAudit(model, "exported program", 8, records, versions={"qdiag": "0.1.0"})


def _batchnorm(index: int, layer: str, repaired: bool) -> BatchNormRecord:
    channels = () if repaired else DEAD.get(layer, ())
    blow_up = _BLOW_UP.get(layer, 1.0)
    folded = tuple(blow_up if c in channels else 1.0 - 0.03 * c for c in range(CHANNELS))
    gain = tuple(31.6 if c in channels else 0.2 + 0.02 * c for c in range(CHANNELS))
    if layer == "blocks.12.dw":
        gain, folded = (*gain[:11], 34.3, *gain[12:]), (*folded[:11], 5.6, *folded[12:])
    dead = tuple(
        DeadChannel(c, "zero variance", 4e-35, 4e-32, 2e-35, 0.0, 0.25 * c, 31.6, blow_up, blow_up) for c in channels
    )
    return BatchNormRecord(
        index=index, name=f"{layer}_bn", call=1, call_count=1, channels=CHANNELS, eps=1e-3, eps_is_assumed=False,
        is_affine=True, tracks_statistics=True, bits=8,
        layer=PairedLayer(layer, "depthwise_conv", f"{layer}.weight", (CHANNELS, 1, 3, 3), CHANNELS, "conv->bn",
                          "graph", "certain"),
        gain=gain, variance=tuple(4e-35 if c in channels else 2.0 + 0.1 * c for c in range(CHANNELS)),
        folded_max_abs=folded, live_variance_median=2.7, dead=dead,
        outliers=(GainOutlier(11, 34.3, 98.0, 5.6, 5.6),) if layer == "blocks.12.dw" else (),
        range_cost=RangeCost(channels, True, 6.3, CHANNELS - len(channels)) if blow_up > 4.0 and channels else None,
    )  # fmt: skip


def _sites(value: float, threshold: float, *layers: str, channels: tuple[int, ...] = ()) -> tuple[FindingSite, ...]:
    return tuple(
        FindingSite(name, channels, (Evidence("range_over_others", value, "x", threshold),)) for name in layers
    )


def _recovery(db: float, right: int, right_before: int, lost: int, is_labelled: bool) -> Recovery:
    """`right` against `right_before` of 500 samples; without labels the counts are of agreement."""
    extra = 0 if is_labelled else 16
    pairs = paired(right + extra, right_before + extra, lost)
    return Recovery(db, Interval(db - 0.12, db + 0.12), pairs.drop_pp, pairs.drop_interval_pp, pairs)
