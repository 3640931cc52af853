"""One layer that alone costs most of the loss, and that no other code explains."""

import math

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.diagnosis import Diagnosis
from qdiag.detectors.graph.sole_loss import CODE
from qdiag.reading.words.causes import headline
from qdiag.reading.words.task.loss_source import loss_source_words


class Lifted(nn.Module):
    """A signal of size one on top of a constant that takes the whole range of the quantizer after it."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.height = height

    def forward(self, x: Tensor) -> Tensor:
        lifted = self.b(torch.relu(self.a(x))) + self.height
        return self.fc(torch.relu(lifted) - self.height)


def diagnosed(height: float, *, is_labelled: bool = True) -> Diagnosis:
    torch.manual_seed(0)
    model, x = Lifted(height).eval(), torch.randn(2000, 16)
    with torch.no_grad():
        logits = model(x)
        best = logits.topk(2, 1).values
        x = x[(best[:, 0] - best[:, 1]).topk(400).indices]  # no close calls, which any rounding would turn
        labels = model(x).argmax(1)
    return qdiag.diagnose(model, (x, labels) if is_labelled else x, with_sensitivity=True, with_bits=False)


def test_it_is_a_suspect_of_its_own_and_float_there_recovers_the_loss() -> None:
    found = diagnosed(300.0)
    (cause,) = found.ranking.claimed
    assert (cause.code, cause.layers) == (CODE, ("add",))
    trials = {trial.repair: trial for trial in cause.trials}
    assert trials["keep_float"].recovery is not None and trials["keep_float"].recovery.recovered_task > 50.0
    assert trials["activations_16bit"].recovery is not None
    assert found.sensitivity is not None
    shares = {row.layer: found.sensitivity.share_of_loss(row) for row in found.sensitivity.rows}
    assert shares["add"] > 0.9 and max(share for name, share in shares.items() if name != "add") < 0.1
    assert headline(found).endswith("Quantizing add alone costs all of the loss.")


def test_a_healthy_twin_has_no_share_of_anything() -> None:
    found = diagnosed(0.5)
    assert found.ranking.harm.verdict == "healthy"
    assert CODE not in {finding.code for finding in found.ranking.findings}
    assert found.sensitivity is not None and found.sensitivity.heaviest == ()
    assert all(math.isnan(found.sensitivity.share_of_loss(row)) for row in found.sensitivity.rows)
    assert loss_source_words(found.sensitivity) == loss_source_words(None) == ""


def test_without_a_task_the_share_is_of_noise_at_the_output() -> None:
    found = diagnosed(300.0, is_labelled=False)
    assert found.sensitivity is not None
    quantized = found.sensitivity.quantized
    (row,) = [row for row in found.sensitivity.rows if row.layer == "add"]
    assert row.alone is not None
    if quantized.task.judged is None:
        expected = min(10.0 ** ((quantized.output_sqnr_db - row.alone.output_sqnr_db) / 10.0), 1.0)
        assert found.sensitivity.share_of_loss(row) == pytest.approx(expected)
    assert found.sensitivity.share_of_loss(row) > 0.5
    assert CODE in {cause.code for cause in found.ranking.claimed}
