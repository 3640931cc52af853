"""Into which layer beside it a BatchNorm folds, and why not: for those who fold, and for those who say what would."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

NO_LAYER_BEFORE = "what comes before it is neither a convolution nor a linear layer"


@dataclass(frozen=True)
class Candidate(Generic[T]):
    """A layer beside a BatchNorm.

    Attributes:
        layer: None where there is none that could take it in.
        is_norm_first: the layer reads the BatchNorm; otherwise the BatchNorm reads the layer.
        reason: why the fold would not be exact; None when it is.
    """

    layer: T | None
    is_norm_first: bool
    reason: str | None = None


def layer_before(layer: T, *, reader_count: int) -> Candidate[T]:
    """The layer that a BatchNorm reads.

    Args:
        reader_count: how many operations read the layer's output.
    """
    is_shared = reader_count > 1
    return Candidate(layer, False, "the output of the layer before it is also read elsewhere" if is_shared else None)


def layer_after(layer: T, *, is_transposed: bool, is_padded: bool, shifts: bool) -> Candidate[T]:
    """The layer that alone reads a BatchNorm.

    Args:
        is_padded: it surrounds its input with zeros. shifts: the BatchNorm makes something else of a zero.
    """
    reason = None
    if is_transposed:
        reason = "a transposed convolution after a BatchNorm is not folded"
    elif is_padded and shifts:
        reason = "the convolution after it pads with zeros, which the shift would have to follow"
    return Candidate(layer, True, reason)


def choose(before: Candidate[T], after: Candidate[T]) -> Candidate[T]:
    """The layer that takes the BatchNorm in exactly, the one before it first; else a layer, with its reason."""
    exact = [candidate for candidate in (before, after) if candidate.reason is None]
    layers = [candidate for candidate in (before, after) if candidate.layer is not None]
    return next(iter(exact or layers), before)
