"""RepVGG and QARepVGG, in words."""

from qdiag.reading.words.reproductions.base import COMMON_REASONS, ColumnWords, ExperimentWords, Figures


def _conditions(figures: Figures) -> str:
    return (
        f"on average the weights of {figures['c1']:.1f} of the seven blocks do not quantize well (C1), and the "
        f"activations of {figures['c2']:.1f} (C2); the identity is at fault in {figures['identity']:.1f}, and its "
        f"largest gain is {figures['gain']:.1f}"
    )


def _float_differs(figures: Figures) -> str:
    return (
        f"the settings do not learn these images equally well in this time: {figures['s4']:.1f} % (S4) and "
        f"{figures['s0']:.1f} % (S0) in float"
    )


def _seeds_differ(figures: Figures) -> str:
    return (
        f"the seeds differ: the interval of the mean over {figures['seeds']:.0f} of them is {figures['margin']:.1f} "
        "blocks wide on each side"
    )


REPVGG = ExperimentWords(
    title="Branches that quantize",
    question="RepVGG loses 20 points in int8 once its branches are fused: gains of the identity spread the weights, "
    "and the custom L2 spreads the activations. With one BatchNorm behind the sum, and none on identity and "
    "1x1 (S4, QARepVGG), it loses less than two (arXiv 2212.01593).",
    made_of="A RepVGG of seven blocks, with 8 to 32 channels, is trained in each setting: S0 is RepVGG with its own "
    "L2, S0' has it without the denominator, S1 has plain L2, S2 no BatchNorm on the identity, S3 none on "
    "the 1x1 branch either, and S4 one more behind the sum of S3. All are trained alike and from the same "
    "seed; its branches are fused, and it is quantized after training with one scale per tensor. Only the "
    "BatchNorms and the L2 differ. A high learning rate (1) stands for the long training of the source; S3 "
    "diverges at it, and has 0.05. S4 is also trained further with its quantizers in place, fused.",
    published_for="RepVGG-A0 on ImageNet",
    rows={
        "s0": "S0, custom L2",
        "s0p": "S0', no denominator",
        "s1": "S1, plain L2",
        "s2": "S2",
        "s3": "S3",
        "s4": "S4, QARepVGG",
        "s4_qat": "S4 with QAT",
    },
    columns={
        "float": ColumnWords("float"),
        "int8": ColumnWords("int8"),
        "drop": ColumnWords("below float", "pp"),
        "int6": ColumnWords("6 bits"),
        "int4": ColumnWords("4 bits"),
        "c1": ColumnWords("C1 fails", "blocks", "blocks"),
        "c2": ColumnWords("C2 fails", "blocks", "blocks"),
        "identity": ColumnWords("identity at fault", "blocks", "blocks"),
        "gain": ColumnWords("largest identity gain", "times", "times"),
    },
    statements={
        "s0_falls": "S0 loses more than 5 points in int8",
        "s1_falls": "S1 loses more than 5 points in int8",
        "s4_holds": "S4 loses less than 2.5 points in int8",
        "float_alike": "in float, S4 and S0 are within 5 points",
        "s0_c2": "in S0 there is a block whose activations do not quantize well (C2)",
        "s1_c1": "in S1 there is a block whose fused weights do not quantize well (C1)",
        "s0_identity": "in S0 there is a block whose identity is at fault",
        "s1_identity": "in S1 there is a block whose identity is at fault",
        "qat_near": "trained with its quantizers, S4 is less than a point below float in int8 (source: 0.3)",
    },
    drawings={
        "accuracy": "Top-1 in float and in 8, 6 and 4 bits, fused",
        "gains": "Largest gain of the identity's BatchNorm, by block",
        "weights": "Standard deviation of the fused weights, by block",
        "activations": "Standard deviation of the blocks' outputs before the ReLU",
    },
    reasons={
        **COMMON_REASONS,
        "conditions": _conditions,
        "float_differs": _float_differs,
        "seeds_differ": _seeds_differ,
    },
)
