"""The terms of a report, each with what it means."""

TERMS: tuple[tuple[str, str], ...] = (
    ("SQNR", "signal-to-quantization-noise ratio, 10·log₁₀ of signal power over noise power, in dB: 6 dB are one bit"),
    ("local", "the layer alone: float inputs quantized once, quantized weights, quantized output"),
    ("propagated", "the same layer inside the quantized network, with all the noise that arrives"),
    ("lost", "propagated SQNR of the worst layer that feeds this one, minus its own"),
    ("expected", "what rounding of the output to its scale would leave, without any clipping"),
    ("clipped", "share of the output values that lie outside the range of the quantizer"),
    ("finding", "a fault that was seen in figures; whether it costs accuracy is not known yet"),
    ("cause", "a finding whose repair gave accuracy back, beyond noise and beyond its placebo"),
    ("placebo", "the same repair, of the same size, made where the finding is not"),
    ("pp", "percentage points: 98.8 % against 10.0 % are 88.8 pp"),
)
