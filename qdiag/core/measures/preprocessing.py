"""Whether the inputs of a run look like those that the network was trained on, in plain numbers."""

import math
from dataclasses import dataclass

from qdiag.core.measures.task import PairedCounts

MEAN_SHIFT_LIMIT = 1.0
VARIANCE_OCTAVES_LIMIT = 1.5
"""Real networks on 8 samples of their own data reach 0.71 standard deviations and 1.33 octaves, on 128 samples 0.27 and
0.54. With the pixels scaled or shifted for another network they have at least 1.4 deviations or 2.0 octaves, unless the
network bears the change."""
SAMPLES_MIN = 8
"""Fewer samples than this differ too much from one another to be judged by their statistics."""
POOR_PERCENT = 70.0
"""Float top-1 below which other preprocessings are tried although the statistics fit, or there are none."""
_GAIN_MIN_PP = 5.0
_CHANCE_MAX = 0.01
"""Of calling one of all trials better by chance alone."""
_GOOD_PERCENT = 60.0
"""What another preprocessing has to reach where no statistics confirm it. With wrong labels a network is right less
often than by guessing, and whatever breaks its answers makes it right more often."""


@dataclass(frozen=True, slots=True)
class NormInput:
    """What reaches a BatchNorm, against the running statistics that it keeps from training.

    Attributes:
        name: module path. channel_count: channels compared; those that were constant in training are left out.
        mean_shift: |mean - running mean| over the running standard deviation, upper quartile over channels.
        variance_ratio: variance over running variance, median over channels.
    """

    name: str
    channel_count: int
    mean_shift: float
    variance_ratio: float

    @property
    def distance(self) -> float:
        """The larger of both figures over its limit; infinite for a variance of zero."""
        if math.isnan(self.variance_ratio) or math.isnan(self.mean_shift):
            return math.nan
        octaves = abs(math.log2(self.variance_ratio)) if 0.0 < self.variance_ratio < math.inf else math.inf
        return max(self.mean_shift / MEAN_SHIFT_LIMIT, octaves / VARIANCE_OCTAVES_LIMIT)

    @property
    def is_as_trained(self) -> bool:
        """Within the limits; also where there is no telling."""
        return not self.distance > 1.0


@dataclass(frozen=True, slots=True)
class PreprocessingTrial:
    """The same images with another preprocessing.

    Attributes:
        settings: what makes it so, name and value: `preset`, or fields of the preprocessing. A preset or a scale takes
            the place of the run's own preset, scale, mean, std and channel order; a channel order alone is added.
        norm: what then reaches the BatchNorm that was farthest from its statistics; None where none was looked at.
        top1: float top-1, this preprocessing as the reference and the run's own as the simulated one; None without
            class numbers.
    """

    settings: tuple[tuple[str, str], ...]
    norm: NormInput | None = None
    top1: PairedCounts | None = None


@dataclass(frozen=True, slots=True)
class PreprocessingCheck:
    """What reaches the first BatchNorms, and what other preprocessings of the same images would give.

    Attributes:
        sample_count: calibration samples behind `norms`.
        norms: BatchNorms that the input reaches before any other, the one farthest from its statistics first.
        right_count, labelled_count: float top-1 on a few measured samples; 0 of 0 where it was not looked at.
        trials: other preprocessings; empty where there was no reason to try, or nothing to try them on.
    """

    sample_count: int
    norms: tuple[NormInput, ...] = ()
    right_count: int = 0
    labelled_count: int = 0
    trials: tuple[PreprocessingTrial, ...] = ()

    @property
    def worst(self) -> NormInput | None:
        """The BatchNorm farthest from its statistics; None without one."""
        return self.norms[0] if self.norms else None

    @property
    def is_as_trained(self) -> bool:
        """What reaches the first BatchNorms is what reached them in training, as far as there are any."""
        return all(norm.is_as_trained for norm in self.norms)

    @property
    def float_percent(self) -> float | None:
        """Float top-1 on the few samples; None where it was not looked at."""
        return 100.0 * self.right_count / self.labelled_count if self.labelled_count else None

    @property
    def better(self) -> PreprocessingTrial | None:
        """The trial to use: right more often beyond chance, or else within the limits of the statistics.

        Of several that differ in accuracy by less than what a few samples can tell, the one nearest to the statistics.
        """
        proved = [trial for trial in self.trials if self._is_proved(trial)]
        if proved:
            most = max(map(_percent, proved))
            return min((t for t in proved if most - _percent(t) <= _GAIN_MIN_PP), key=_distance)
        if self.is_as_trained:
            return None
        fitting = [trial for trial in self.trials if _fits(trial) and _is_no_worse(trial)]
        return min(fitting, key=_distance, default=None)

    @property
    def is_doubtful(self) -> bool:
        """The inputs do not seem to be prepared as in training."""
        if self.better is not None:
            return True
        percent = self.float_percent
        return not self.is_as_trained and (percent is None or percent < POOR_PERCENT)

    def _is_proved(self, trial: PreprocessingTrial) -> bool:
        """By the sign test on the samples that one of both alone gets right, for as many trials as were made."""
        counts = trial.top1
        if counts is None or counts.drop_pp < _GAIN_MIN_PP or not self._is_confirmed(trial):
            return False
        won, lost = counts.reference_only, counts.simulated_only
        tail = sum(math.comb(won + lost, k) for k in range(lost + 1)) / 2 ** (won + lost)
        return bool(tail * len(self.trials) < _CHANCE_MAX)

    def _is_confirmed(self, trial: PreprocessingTrial) -> bool:
        """The statistics fit, or fit better than now; without any, the network is good with it."""
        if self.worst is None or trial.norm is None or math.isnan(trial.norm.distance):
            return _percent(trial) >= _GOOD_PERCENT
        return not trial.norm.distance > max(1.0, self.worst.distance)


def _percent(trial: PreprocessingTrial) -> float:
    return trial.top1.reference_percent if trial.top1 is not None else math.nan


def _distance(trial: PreprocessingTrial) -> float:
    known = trial.norm is not None and not math.isnan(trial.norm.distance)
    return trial.norm.distance if trial.norm is not None and known else math.inf


def _fits(trial: PreprocessingTrial) -> bool:
    return trial.norm is not None and trial.norm.distance <= 1.0


def _is_no_worse(trial: PreprocessingTrial) -> bool:
    """Its 95 % interval leaves room for being as good."""
    return trial.top1 is None or trial.top1.drop_interval_pp.high > 0.0
