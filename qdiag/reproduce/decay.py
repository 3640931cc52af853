"""Weight decay that does the same in trainings of any length."""

from dataclasses import replace

from qdiag.reproduce.lab import Lab
from qdiag.train.plain.settings import PlainSettings

DECAY_AT_MOST = 0.05
"""What a training of a few steps does not go beyond."""


def with_decay(lab: Lab, settings: PlainSettings, total: float) -> PlainSettings:
    """Settings whose weight decay times the largest learning rate, summed over all steps of a training, is `total`.

    Under half a cosine, a weight that has no other gradient falls to about exp(-total / 2) of its beginning. What a
    long training does to channels that nothing needs, a short one does only if it decays them as much in all.
    """
    steps = lab.epochs * max(1, len(lab.images.trained) // settings.batch_size)
    return replace(settings, weight_decay=min(DECAY_AT_MOST, total / (settings.learning_rate * steps)))
