"""What `qdiag sqnr` is expected to take follows from how many samples its layers are measured on."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.sqnr import expected_passes
from tests.cases import open_test_case


def test_layers_of_some_samples_cost_less_than_those_of_all() -> None:
    images = torch.rand(128, 3, 64, 64)
    case = open_test_case(nn.Sequential(nn.Conv2d(3, 4, 3)), list(images.split(16)))
    whole, some = expected_passes(case), expected_passes(case, on_all=False)
    assert whole == 3.5 and expected_passes(case, with_losses=True) == 13.0
    # 15,376 values of the smallest layer in each image: 32 of 128 samples are looked at layer by layer
    assert some == pytest.approx(0.25 * 3.5 + 0.75 * 0.9)
    # the float network runs again where calibration has not shown what it gives
    apart = replace(case, measured=batches_from(list(images.split(16)), 16))
    assert expected_passes(apart, on_all=False) == pytest.approx(0.25 * 3.5 + 0.75 * 1.8)
