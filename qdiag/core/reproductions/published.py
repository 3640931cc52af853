"""The figures that the sources publish, in one table: by experiment, variant and figure, with where they stand."""

from dataclasses import dataclass

from qdiag.core.reproductions.seeds import Place


@dataclass(frozen=True, slots=True)
class Published:
    """One figure, in the unit of its column, and where it stands."""

    experiment: str
    place: Place
    value: float
    source: str


def _rows(experiment: str, column: str, source: str, **values: float) -> tuple[Published, ...]:
    return tuple(Published(experiment, Place(row, column), value, source) for row, value in values.items())


_WHITEPAPER = "arXiv 1806.08342"
_SEPARABLE = "arXiv 1803.08607"
_QAREPVGG = "arXiv 2212.01593"
_NIN = "README.md of github.com/666DZY666/micronet"

PUBLISHED: tuple[Published, ...] = (
    # MobileNetV1 1.0 on ImageNet; activations in 8 bits
    *_rows("qat", "top1", f"{_WHITEPAPER}, table 4", float=70.9, ptq8t=0.1, ptq8c=59.1),
    *_rows("qat", "top1", f"{_WHITEPAPER}, table 5", ptq4t=2.0, ptq4c=0.1, qat4c=65.0),
    *_rows("bnn", "top1", _NIN, float=91.01, w1=90.93, w2=91.0, w1a1=86.23),
    *_rows("bnn", "saved", _NIN, w1=92.39, w2=89.85, w1a1=92.39),
    *_rows("mobilenet", "float", _SEPARABLE, a=70.50, b=70.55, c=70.80, d=70.77),
    *_rows("mobilenet", "int8", _SEPARABLE, a=1.80, a_fixed=45.73, b=61.50, c=67.80, d=68.03),
    *_rows("repvgg", "float", _QAREPVGG, s0=72.2, s0p=71.5, s1=71.7, s2=70.7, s3=70.1, s4=72.2),
    *_rows("repvgg", "int8", _QAREPVGG, s0=50.3, s0p=61.2, s1=61.6, s2=62.5, s3=69.5, s4=70.4),
)


def published_at(experiment: str, place: Place) -> float | None:
    """The published figure of a place; None where there is none."""
    found = (entry for entry in PUBLISHED if entry.experiment == experiment and entry.place == place)
    return next((entry.value for entry in found), None)


def sources_of(experiment: str) -> tuple[str, ...]:
    """The places in the sources that an experiment is compared with, each once."""
    return tuple(dict.fromkeys(entry.source for entry in PUBLISHED if entry.experiment == experiment))
