"""One captured network under several schemes gives what each of them gives by itself."""

import pytest
import torch
from torch import nn

from qdiag.config import load_preset
from qdiag.pipeline.begin import begin, under_scheme
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.divided import datasets_from


@pytest.mark.parametrize("scheme", ["int8", "tensorrt-int8"])
def test_as_if_it_had_been_captured_for_it(scheme: str) -> None:
    """The second scheme reads histograms, for which the calibration data are looked at more closely."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 4)).eval()
    subject, x = Subject(model, "module", "net", "Sequential"), torch.randn(48, 3, 6, 6)
    data = datasets_from((x[:32], model(x[:32]).argmax(1)), calib_data=x[32:])
    with open_session() as session:
        first = begin(session, subject, data, load_preset("tf-uint8"))
        other = under_scheme(session, first, load_preset(scheme))
        alone = begin(session, subject, data, load_preset(scheme))
        found, wanted = (measure_experiment(session, one) for one in (other, alone))
    assert first.case.scheme.name == "tf-uint8" and first.case.network is other.case.network
    for name in ("scheme", "records", "outputs", "task", "size", "notes", "model", "data", "preprocessing"):
        assert getattr(found, name) == getattr(wanted, name), name
