"""Binary and ternary networks, in words."""

from qdiag.reading.words.reproductions.base import COMMON_REASONS, SAVED, TOP1, ExperimentWords, Figures


def _rest_in_float(figures: Figures) -> str:
    return (
        f"first and last layer, biases and BatchNorms stay in float: {figures['float_percent']:.1f} % of the values of "
        f"this narrow network, but {figures['published_float_percent']:.1f} % of those of the published one"
    )


BNN = ExperimentWords(
    title="Binary networks",
    question="A network can be trained with weights of one bit for about a point of accuracy and 92 % less memory; "
    "binary activations cost more (arXiv 1602.02830, 1603.05279, 1605.04711).",
    made_of="A small NIN with a quarter of the channels is trained in float. All weights but those of the first "
    "and the last layer are then made binary or ternary and trained further, for 0.4 of the epochs. With binary "
    "activations the network has signs in place of ReLUs, and is trained from its beginning with binary weights, for "
    "half as many epochs again as the float network.",
    published_for="NIN on CIFAR-10",
    rows={
        "float": "float",
        "w1_untrained": "binary weights, not trained",
        "w1": "binary weights",
        "w2": "ternary weights",
        "w1a1": "binary weights and activations",
    },
    columns={"top1": TOP1, "saved": SAVED},
    statements={
        "needs_training": "binary weights need training: it recovers more than 10 points",
        "binary_near": "binary weights cost less than 2 points",
        "ternary_near": "ternary weights cost less than 2 points",
        "activations_cost": "binary activations cost more than binary weights alone",
        "learns": "with binary weights and activations the network learns: top-1 is above 50 %",
        "saves": "binary weights save more than 90 % of the memory",
    },
    drawings={
        "memory": "Top-1 beside the memory that is saved",
        "training": "Cross-entropy on the training images, by epoch",
    },
    reasons={**COMMON_REASONS, "rest_in_float": _rest_in_float},
)
