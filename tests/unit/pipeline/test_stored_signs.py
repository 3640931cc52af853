"""Weights that are stored with two or three values alone: quantized as the scheme says, and named in a note."""

import math

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.config import load_scheme

IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def network(zeros: float = 0.0, *, is_stored: bool = True) -> nn.Module:
    """The second convolution holds signs times a magnitude for each channel, and a share of zeros."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 1)).eval()
        weight: Tensor = net[2].weight.data  # type: ignore[assignment, union-attr]
        signs = torch.where(torch.rand_like(weight) < zeros, 0.0, weight.sign())
        if is_stored:
            weight.copy_(signs * torch.linspace(0.25, 1.5, 6).view(-1, 1, 1, 1))
    return net


@pytest.mark.parametrize(("form", "zeros", "bits"), [("binary", 0.0, 1), ("ternary", 0.4, 2)])
def test_a_note_names_them_and_says_what_keeps_them_exactly(form: str, zeros: float, bits: int) -> None:
    found = qdiag.measure(network(zeros), IMAGES)
    (note,) = [note for note in found.notes if "stored weights" in note]
    assert "of 1 layer take only" in note and "first 2: they are quantized as the scheme says" in note
    assert f"weights.type = {form} with bits = {bits}, scale = float32 and granularity = per_channel" in note
    at = 'layers."2".weights'
    own = [f"{at}.type={form}", f"{at}.bits={bits}", f"{at}.scale=float32", f"{at}.granularity=per_channel"]
    exact = qdiag.measure(network(zeros), IMAGES, scheme=load_scheme("int8", own))
    weight = exact.record("2").weight
    assert weight is not None and weight.error.sqnr_db == math.inf
    assert not [note for note in exact.notes if "stored weights" in note]
    assert (
        exact.size is not None
        and found.size is not None
        and exact.size.simulated.weights < found.size.simulated.weights
    )


def test_it_is_silent_about_others() -> None:
    assert not [note for note in qdiag.measure(network(is_stored=False), IMAGES).notes if "stored weights" in note]
    few = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False)).eval()
    few[0].weight.data = few[0].weight.data.sign()  # type: ignore[union-attr, operator]
    assert not [note for note in qdiag.measure(few, IMAGES).notes if "stored weights" in note]
    floats = qdiag.measure(network(), IMAGES, scheme="w32a8")
    assert not [note for note in floats.notes if "stored weights" in note]
