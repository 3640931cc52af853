"""Quantization-friendly separable convolutions, in words."""

from qdiag.reading.words.reproductions.base import COMMON_REASONS, ColumnWords, ExperimentWords, Figures


def _few_dead(figures: Figures) -> str:
    return (
        f"hardly any channel died in so short a training: {figures['dead']:.1f} depthwise channels without variance on "
        f"average, and the widest channel of a layer is {figures['stretch']:.1f} times as wide as its median one"
    )


def _dead_harmless(figures: Figures) -> str:
    return (
        f"{figures['dead']:.1f} depthwise channels have no variance on average, but they stretch no range enough: the "
        f"widest channel of a layer is {figures['stretch']:.1f} times as wide as its median one"
    )


def _live_outliers(figures: Figures) -> str:
    return (
        "the repair changes channels without variance alone; the widest channel of a layer was "
        f"{figures['before']:.1f} times as wide as its median one before it, and is {figures['after']:.1f} times as "
        "wide after it"
    )


def _loses_elsewhere(figures: Figures) -> str:
    return (
        "no depthwise BatchNorm stretches a range in this variant, but the widest channel of one of its depthwise "
        f"layers is still {figures['stretch']:.1f} times as wide as the median one"
    )


MOBILENET = ExperimentWords(
    title="Friendly separable convolutions",
    question="MobileNetV1 falls from 70.5 to 1.8 % in 8 bits with one scale per tensor, since channels without "
    "variance stretch the range of the depthwise weights. Without BatchNorm and ReLU6 between the depthwise "
    "and the pointwise convolution it holds (arXiv 1803.08607).",
    made_of="A MobileNetV1 of seven blocks and a quarter of the channels is trained in the source's four variants: "
    "(a) has BatchNorm and ReLU6 after its depthwise convolutions, (b) has neither there, (c) has ReLU for "
    "ReLU6 elsewhere as well, and (d) is trained with L2 on its depthwise weights. Repaired is a copy of (a) "
    "whose channels without variance get that of the others, without training. All are trained alike and "
    "from the same seed, and quantized after training with one scale per tensor, from minimum to maximum. A "
    "high learning rate (1), and a decay that takes an unused pointwise weight down to 3 % by the end, stand "
    "for the long training of the source; depthwise weights start as in its code, with a standard deviation "
    "of 0.09, and decay in variant (d) alone. Nothing is edited after training.",
    published_for="MobileNetV1 1.0 on ImageNet",
    rows={
        "a": "(a) as published",
        "a_fixed": "(a), repaired",
        "b": "(b) without both",
        "c": "(c) ReLU for ReLU6",
        "d": "(d) and depthwise L2",
    },
    columns={
        "float": ColumnWords("float"),
        "int8": ColumnWords("8 bits"),
        "drop": ColumnWords("below float", "pp"),
        "int6": ColumnWords("6 bits"),
        "int4": ColumnWords("4 bits"),
        "dead": ColumnWords("without variance", "channels", "channels"),
        "stretch": ColumnWords("widest over median", "times", "times"),
    },
    statements={
        "a_falls": "variant (a) loses more than 10 points in 8 bits",
        "b_holds": "variant (b) loses less than 5 points in 8 bits",
        "c_holds": "variant (c) loses less than 5 points in 8 bits",
        "d_holds": "variant (d) loses less than 5 points in 8 bits",
        "float_alike": "in float, (b) is less than 5 points below (a)",
        "fix_helps": "repaired variances recover (a) more than 10 points in 8 bits, without training",
    },
    drawings={
        "accuracy": "Top-1 in float and in 8, 6 and 4 bits",
        "gains": "Gains behind the first depthwise convolution, largest first",
        "stretch": "Widest folded channel over the median channel, by depthwise layer",
        "sqnr": "SQNR at the layers of the 8-bit network, in dB",
    },
    reasons={
        **COMMON_REASONS,
        "few_dead": _few_dead,
        "dead_harmless": _dead_harmless,
        "live_outliers": _live_outliers,
        "loses_elsewhere": _loses_elsewhere,
    },
)
