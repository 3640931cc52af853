"""Which options stand on the command line: the value of one may be its default, and still be asked for."""

from collections.abc import Iterable

_given: set[str] = set()


def options_given(names: Iterable[str]) -> None:
    """From now on these are the options of the command line that was read.

    Args:
        names: of parameters, such as `scheme`.
    """
    _given.clear()
    _given.update(names)


def was_given(name: str) -> bool:
    """Of the command line that was read last."""
    return name in _given
