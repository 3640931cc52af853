"""The options of the scheme that commands share."""

from dataclasses import dataclass, replace

from qdiag.cli.options.common import (
    ActivationsOnlyOption,
    ArithmeticOption,
    NoFoldOption,
    SchemeOption,
    SetOption,
    WeightsOnlyOption,
)
from qdiag.config import DEFAULT_PRESET, load_scheme
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError

_PER_TENSOR = "tf-uint8"
DEFAULTS = (DEFAULT_PRESET, _PER_TENSOR)
"""What commands take where nothing was said."""
PARTS = ("weights_only", "activations_only")
"""Fields that only commands which quantize a part of the network offer."""


@dataclass(frozen=True)
class SchemeOptions:
    """The panel `Scheme`."""

    scheme: SchemeOption = DEFAULT_PRESET
    set_: SetOption = None
    arithmetic: ArithmeticOption = None
    weights_only: WeightsOnlyOption = False
    activations_only: ActivationsOnlyOption = False
    no_fold: NoFoldOption = False

    @property
    def settings(self) -> tuple[str, ...]:
        """Fields of the scheme that are replaced, as KEY=VALUE."""
        own = (f"arithmetic={self.arithmetic}",) if self.arithmetic is not None else ()
        return (*(self.set_ or ()), *own)

    @property
    def resolved(self) -> QuantScheme:
        """The scheme after all options.

        Raises:
            ConfigError: unknown names, or options that exclude each other.
        """
        if self.weights_only and self.activations_only:
            raise ConfigError("--weights-only and --activations-only exclude each other", hint="leave one away")
        scheme = load_scheme(self.scheme, self.settings)
        if self.weights_only:
            scheme = scheme.only("weights")
        if self.activations_only:
            scheme = scheme.only("activations")
        return replace(scheme, fold_batchnorm=False) if self.no_fold else scheme


@dataclass(frozen=True)
class PerTensorSchemeOptions(SchemeOptions):
    """With one scale per weight tensor unless said otherwise: with one per channel, unequal channels cost little."""

    scheme: SchemeOption = _PER_TENSOR
