"""Figures of a measurement that go into the table of an experiment."""

import math

from qdiag.core.measures.measurement import Measurement


def top1(measurement: Measurement) -> float:
    """Of the quantized network, in percent."""
    judged = measurement.task.judged
    return judged.simulated if judged is not None else math.nan


def float_top1(measurement: Measurement) -> float:
    """Of the float network on the same images, in percent."""
    judged = measurement.task.judged
    return judged.reference if judged is not None else math.nan


def saved_percent(measurement: Measurement) -> float:
    """Share of the float network's stored bytes that quantization saves, in percent."""
    return 100.0 * measurement.size.saved_fraction if measurement.size is not None else math.nan
