"""How a network is trained, as plain values."""

from dataclasses import dataclass
from typing import Literal

from qdiag.errors import ConfigError

RangeRule = Literal["moving_average", "learned"]
OptimizerName = Literal["sgd", "adam", "shift_adamax"]
Decay = Literal["none", "cosine"]


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes:
        epochs: passes over the training samples. batch_size: samples of one step.
        optimizer: stochastic gradient descent with momentum, Adam, or the shift-based AdaMax of arXiv 1602.02830.
        learning_rate: at the beginning. decay: how it falls over all steps.
        momentum: of `sgd`. weight_decay: of the weights; no other parameter decays.
        ranges: of activations, the moving average of each batch's smallest and largest value, and of weights what the
            scheme's calibrator chooses at every step; or steps that are parameters, where the format has even steps.
        averaging_constant: weight of a new batch in a moving average.
        quant_delay: steps in float before anything is quantized (TensorFlow's `quant_delay`).
        freeze_bn_after: epochs with the statistics of the batch; then BatchNorms use their running statistics, as the
            integer network does. None never freezes them, 0 does from the beginning.
        distill: the float network's outputs are the targets, even where there are labels.
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: OptimizerName = "sgd"
    learning_rate: float = 1e-3
    decay: Decay = "cosine"
    momentum: float = 0.9
    weight_decay: float = 0.0
    ranges: RangeRule = "moving_average"
    averaging_constant: float = 0.01
    quant_delay: int = 0
    freeze_bn_after: int | None = None
    distill: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}", hint="use 1 or more")
        if not self.learning_rate > 0.0:
            raise ConfigError(f"learning_rate = {self.learning_rate}", hint="use more than 0")
        if not 0.0 <= self.momentum < 1.0:
            raise ConfigError(f"momentum = {self.momentum}", hint="use 0 or more and less than 1")
        if self.weight_decay < 0.0:
            raise ConfigError(f"weight_decay = {self.weight_decay}", hint="use 0 or more")
        if not 0.0 < self.averaging_constant <= 1.0:
            raise ConfigError(f"averaging_constant = {self.averaging_constant}", hint="use more than 0 and at most 1")
        if self.quant_delay < 0 or (self.freeze_bn_after is not None and self.freeze_bn_after < 0):
            name = "quant_delay" if self.quant_delay < 0 else "freeze_bn_after"
            raise ConfigError(f"{name} = {getattr(self, name)}", hint="use 0 or more")
