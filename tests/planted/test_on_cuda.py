"""A GPU adds up in another order, and names the same cause."""

import pytest
import torch

from tests.planted.diagnosing import diagnosis
from tests.planted.faults import FAULTS

CAUSES = {fault.name: fault for fault in FAULTS if fault.cause}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", CAUSES)
def test_the_first_cause_is_the_same(name: str) -> None:
    ranking = diagnosis(CAUSES[name].sick, device="cuda").ranking
    assert (ranking.causes[0].code, ranking.causes[0].verdict) == (CAUSES[name].code, "cause")
    assert set(CAUSES[name].layers) <= set(ranking.causes[0].layers)
