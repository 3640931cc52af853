"""Audio front ends: windows, Fourier transforms as products with a constant matrix, and mel filters.

A transform of a fixed length is linear, and so it is read as a linear layer: backends without complex numbers compute
it like that.
"""

from collections.abc import Mapping

import numpy as np
import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.model import Array
from qdiag.onnx.values import Known, Value

aten = torch.ops.aten
_POINTS_MAX = 1 << 14
"""The matrix of a transform grows with the square of its length."""


def _window(*weights: float) -> Operator:
    """Sum of cosines: w0 - w1 cos(2 pi k / N) + w2 cos(4 pi k / N), with N - 1 in place of N where it is symmetric."""

    def run(call: Call) -> Value:
        size = (call.ints(0) or [0])[0]
        if not 0 < size <= _POINTS_MAX:
            raise call.error(f"a window of {size} points")
        period = size if call.attribute("periodic", 1) else max(size - 1, 1)
        angle = 2.0 * np.pi * np.arange(size) / period
        signs = [(-1.0) ** place for place in range(len(weights))]
        made = sum(s * w * np.cos(place * angle) for place, (s, w) in enumerate(zip(signs, weights, strict=True)))
        return Known(np.asarray(made, dtype=np.float32))

    return run


def _matrix(points: int, bins: int, *, parts: int, inverse: bool) -> Array:
    """Of a transform: (bins * 2, points * parts), with real and imaginary part side by side."""
    angle = (2.0 if inverse else -2.0) * np.pi * np.outer(np.arange(bins), np.arange(points)) / points
    real, imaginary = np.cos(angle), np.sin(angle)
    if parts == 1:
        whole = np.stack([real, imaginary], axis=1)[..., None]
    else:
        whole = np.stack([np.stack([real, -imaginary], -1), np.stack([imaginary, real], -1)], axis=1)
    return (whole / (points if inverse else 1)).reshape(bins * 2, points * parts)


def _stft(call: Call) -> Value:
    """(samples, length, 1) to (samples, frames, bins, 2)."""
    scope, x = call.scope, call.x()
    if scope.rank(x) == 3:
        if scope.shape(x)[2] != 1:
            raise call.error("a signal of complex numbers is not computed")
        x = scope.call(aten.squeeze.dim, x, 2)
    step, window = (call.ints(1) or [0])[0], call.known(2)
    length = (call.ints(3) or [0 if window is None else window.size])[0]
    if step < 1 or not 0 < length <= _POINTS_MAX:
        raise call.error(f"frames of {length} points every {step}")
    bins = length // 2 + 1 if call.attribute("onesided", 1) else length
    matrix = _matrix(length, bins, parts=1, inverse=False) * (1.0 if window is None else window.reshape(-1))
    frames = scope.call(aten.unfold.default, x, 1, length, step)
    found = scope.call(aten.linear.default, frames, scope.constant(matrix.astype(np.float32)))
    return scope.call(aten.reshape.default, found, [-1, int(scope.shape(frames)[1]), bins, 2])


def _dft(call: Call) -> Value:
    """Along one axis; the last axis holds real and imaginary part."""
    scope, x = call.scope, call.x()
    rank = scope.rank(x)
    axis = call.axis(1, rank) if call.opset < 20 else (call.ints(2) or [-2])[0] % rank
    points, parts = int(scope.shape(x)[axis]), int(scope.shape(x)[-1])
    length, inverse = (call.ints(1) or [points])[0], bool(call.attribute("inverse", 0))
    if axis in (0, rank - 1) or length != points or parts not in (1, 2) or points > _POINTS_MAX:
        raise call.error(f"a transform of {length} of {points} points along axis {axis}")
    bins = length // 2 + 1 if call.attribute("onesided", 0) else length
    moved = scope.call(aten.transpose.int, x, axis, rank - 2) if axis != rank - 2 else x
    shape = list(scope.shape(moved))
    flat = scope.call(aten.flatten.using_ints, moved, rank - 2, -1)
    matrix = _matrix(points, bins, parts=parts, inverse=inverse).astype(np.float32)
    found = scope.call(aten.linear.default, flat, scope.constant(matrix))
    found = scope.call(aten.reshape.default, found, [-1, *shape[1:-2], bins, 2])
    return scope.call(aten.transpose.int, found, axis, rank - 2) if axis != rank - 2 else found


def _mel_filters(call: Call) -> Value:
    """Triangles over the bins of a spectrum, equally wide in mel: (bins, filters)."""
    numbers = [call.number(place) for place in range(5)]
    if any(number is None for number in numbers):
        raise call.error("an input is left out")
    count, points, rate, low, high = (float(number or 0.0) for number in numbers)
    if not (0 < count <= _POINTS_MAX and 0 < points <= _POINTS_MAX and rate > 0 and 0 <= low < high):
        raise call.error(f"{count} filters over {points} points from {low} to {high} at a rate of {rate}")
    mel = [2595.0 * np.log10(1.0 + edge / 700.0) for edge in (low, high)]
    edges = np.arange(int(count) + 2) * (mel[1] - mel[0]) / (int(count) + 2) + mel[0]
    places = np.floor((points + 1) * 700.0 * (10.0 ** (edges / 2595.0) - 1.0) / rate).astype(np.int64)
    made = np.zeros((int(points) // 2 + 1, int(count)), np.float32)
    for place, (first, top, last) in enumerate(zip(places, places[1:], places[2:], strict=False)):
        if top == first:
            made[top, place] = 1.0
        for bin_ in range(first, top + 1 if top > first else first):
            made[bin_, place] = (bin_ - first) / (top - first)
        for bin_ in range(top, last):
            made[bin_, place] = (last - bin_) / (last - top)
    return Known(made)


OPERATORS: Mapping[str, Operator] = {
    "HannWindow": _window(0.5, 0.5),
    "HammingWindow": _window(25.0 / 46.0, 21.0 / 46.0),
    "BlackmanWindow": _window(0.42, 0.5, 0.08),
    "STFT": _stft,
    "DFT": _dft,
    "MelWeightMatrix": _mel_filters,
}
