"""The bytes of a tensor, for digests and files."""

import torch
from torch import Tensor


def tensor_bytes(x: Tensor) -> Tensor:
    """The values of x in row order as uint8, on the CPU; its memory may be that of x.

    Raises:
        RuntimeError, TypeError, NotImplementedError: x has no plain values: it is sparse, quantized or meta.
    """
    flat = x.detach().cpu().contiguous().reshape(-1)
    if flat.numel() < 2:  # one element, or none, counts as contiguous whatever its stride, which may be 0
        flat = flat.clone(memory_format=torch.contiguous_format)
    return flat.resolve_conj().resolve_neg().view(torch.uint8)
