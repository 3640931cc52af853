"""The tensors of a module by all their names, and new values for some of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers; shared ones come under each of their names."""
    return dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])


def fill(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Writes the values into the tensors of the same names, which must be our own."""
    with torch.no_grad():
        for name, value in values.items():
            tensors[name].copy_(value)
