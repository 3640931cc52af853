"""Weight decay over a whole training."""

import pytest

from qdiag.reproduce.decay import DECAY_AT_MOST, with_decay
from qdiag.reproduce.lab import Lab
from qdiag.simulate.session import Session
from qdiag.train.plain.settings import PlainSettings
from tests.unit.reproduce.sets import stripes


@pytest.mark.parametrize("epochs", [40, 400])
def test_the_decay_of_all_steps_together_is_what_was_asked_for(epochs: int) -> None:
    division = stripes(60).divided(0)
    settings = with_decay(Lab(Session(), 0, division, epochs), PlainSettings(learning_rate=0.5, batch_size=10), 0.6)
    steps = epochs * (len(division.trained) // 10)
    assert steps * 0.5 * settings.weight_decay == pytest.approx(0.6)
    assert settings.learning_rate == 0.5


def test_a_training_of_a_few_steps_does_not_decay_all_at_once() -> None:
    lab = Lab(Session(), 0, stripes(60).divided(0), 1)
    assert with_decay(lab, PlainSettings(learning_rate=1.0, batch_size=32), 7.0).weight_decay == DECAY_AT_MOST
