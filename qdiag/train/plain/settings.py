"""How a float network is trained, as plain values."""

from dataclasses import dataclass

from qdiag.errors import ConfigError


@dataclass(frozen=True)
class PlainSettings:
    """Stochastic gradient descent with momentum, and a learning rate that rises and then falls down half a cosine.

    Attributes:
        learning_rate: the largest. warm_up: share of all steps over which it rises to that, in a line.
        weight_decay: of weights with two axes or more; no bias and no BatchNorm decays.
        nesterov: momentum in Nesterov's form.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 64
    warm_up: float = 0.1
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size = {self.batch_size}", hint="use 1 or more")
        if not self.learning_rate > 0.0:
            raise ConfigError(f"learning_rate = {self.learning_rate}", hint="use more than 0")
        if not 0.0 <= self.warm_up < 1.0:
            raise ConfigError(f"warm_up = {self.warm_up}", hint="use 0 or more and less than 1")
