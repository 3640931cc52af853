"""Digests of a model in words."""

from qdiag.core.measures.measurement import ModelInfo

_SHOWN = 12


def digest_words(model: ModelInfo) -> str:
    """`sha256 0123456789ab, of the weights ba9876543210`: what `sha256sum` prints of the file, and what tells weights
    apart whatever file holds them."""
    weights = model.digest[:_SHOWN]
    if not model.file_digest:
        return f"sha256 of the weights {weights}"
    return f"sha256 {model.file_digest[:_SHOWN]}, of the weights {weights}"
