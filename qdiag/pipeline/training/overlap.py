"""Samples that are trained on and measured: told by what they hold, since one image may lie in two files."""

import hashlib

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Batches, sample_axis


def shared_count(training: Batches, measured: Batches) -> int:
    """How many of the measured samples are also among those to train on, bit for bit as the network gets them."""
    if training is measured:
        return measured.sample_count
    known = {digest for batch in training for digest in _digests(batch)}
    return sum(digest in known for batch in measured for digest in _digests(batch))


def _digests(batch: Batch) -> list[bytes]:
    """Of each sample: all of its arguments, without its label."""
    count = batch.sample_count
    hashes = [hashlib.sha256() for _ in range(count)]
    for leaf in pytree.tree_leaves((batch.args, dict(batch.kwargs))):
        axis = sample_axis(leaf, count) if isinstance(leaf, Tensor) else None
        if axis is None:
            continue  # of the whole batch: it tells no sample from another
        columns = leaf.detach().cpu().movedim(axis, 0).contiguous()
        for own, column in zip(hashes, columns, strict=True):
            own.update(f"{column.dtype} {tuple(column.shape)}".encode())
            own.update(column.reshape(-1).view(torch.uint8).numpy().tobytes())
    return [own.digest() for own in hashes]
