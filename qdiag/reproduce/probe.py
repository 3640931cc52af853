"""How long an experiment takes, from one run in which every training ends after a few steps."""

from dataclasses import dataclass, field

PROBED_STEPS = 10
"""Updates of each training. The first ones, which prepare much, are not timed."""
PROBED_RATE = 1e-9
"""Learning rate of these: nothing may diverge where only the time counts."""
_SAFE = 0.85
"""Share of the time that is planned with."""


@dataclass
class Probe:
    """What the trainings of one seed cost.

    Attributes:
        epoch_seconds: of one unit of epochs: of every training, an epoch times its share of the unit.
        step_seconds: spent on updates in the probe itself, which are no part of the rest.
    """

    epoch_seconds: float = 0.0
    step_seconds: float = field(default=0.0)

    def add(self, *, share: float, seconds_per_epoch: float, spent: float) -> None:
        """One training: what an epoch of it takes, and what was spent here."""
        self.epoch_seconds += share * seconds_per_epoch
        self.step_seconds += spent

    def epochs_within(self, *, seconds: float, seeds: int, probed: float, at_most: int) -> int:
        """Epochs such that all seeds fit, at least 1.

        Args:
            seconds: that are allowed in all. probed: that the probe took.
        """
        rest = max(0.0, probed - self.step_seconds)  # capturing and measuring, which every seed does
        left = (_SAFE * seconds - probed) / seeds - rest
        return max(1, min(at_most, int(left / self.epoch_seconds))) if self.epoch_seconds > 0.0 else at_most
