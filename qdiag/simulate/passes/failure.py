"""What is said of an operation that torch does not compute."""

from torch import fx

from qdiag.errors import SimulationError

_NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")
"""In what torch says when an allocation fails."""


def failure(node: fx.Node, where: str, error: Exception) -> SimulationError:
    """Which operation failed at which layer, and what to do where the memory is too small."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return SimulationError(f"the memory is too small for {node.target}", at=where, hint="give `batch_size=1`")
    return SimulationError(f"{node.target} failed", at=where)
