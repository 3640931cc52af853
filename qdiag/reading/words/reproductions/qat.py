"""Quantization-aware training against quantization after training, in words."""

from qdiag.reading.words.reproductions.base import COMMON_REASONS, SAVED, TOP1, ColumnWords, ExperimentWords

QAT = ExperimentWords(
    title="Quantization-aware training",
    question="Weights of 8 bits per channel can be quantized after training; with 4 bits that loses accuracy, and "
    "training with the quantizers in place recovers most of it (arXiv 1712.05877; 1806.08342, tables 4 and 5).",
    made_of="A small MobileNetV1 (seven blocks, half the channels) is trained in float, quantized after training, and "
    "trained further with its quantizers in place, for a quarter of the epochs. Weights have 8, 4 or 3 bits, "
    "activations 8.",
    published_for="MobileNetV1 1.0 on ImageNet",
    rows={
        "float": "float",
        "ptq8t": "8 bits, per tensor",
        "ptq8c": "8 bits, per channel",
        "ptq4t": "4 bits, per tensor",
        "ptq4c": "4 bits, per channel",
        "ptq3t": "3 bits, per tensor",
        "ptq3c": "3 bits, per channel",
        "qat4t": "4 bits, per tensor, trained",
        "qat4c": "4 bits, per channel, trained",
        "qat3t": "3 bits, per tensor, trained",
        "qat3c": "3 bits, per channel, trained",
    },
    columns={"top1": TOP1, "drop": ColumnWords("below float", "pp"), "saved": SAVED},
    statements={
        "holds_8c": "with 8 bits per channel the network stays within a point of float, without training",
        "loses_4t": "with 4 bits per tensor it loses more than a point",
        "loses_4c": "with 4 bits per channel it loses more than a point",
        "channels_help": "with 4 bits, one scale per channel is better than one per tensor",
        "recovers_4t": "training recovers more than a point with 4 bits per tensor",
        "recovers_4c": "training recovers more than a point with 4 bits per channel",
        "recovers_3t": "training recovers more than a point with 3 bits per tensor",
        "recovers_3c": "training recovers more than a point with 3 bits per channel",
        "near_float_4c": "trained with 4 bits per channel, it is less than 5.9 points below float, as published",
    },
    drawings={"accuracy": "Top-1 of each variant", "training": "Cross-entropy on the training images, by epoch"},
    reasons=COMMON_REASONS,
)
