"""What blocks and branches are called: after the modules that hold what lies on them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from torch import fx

from qdiag.capture.branches.block import BranchPath, LinearBlock
from qdiag.capture.naming import module_path
from qdiag.capture.program import Program

_Named = TypeVar("_Named", BranchPath, LinearBlock)


def paths_of(program: Program, nodes: Iterable[fx.Node]) -> list[str]:
    """Module paths of the parameters that the nodes read; of the operations where none reads any."""
    names = program.parameter_names
    read = [names[str(i.target)] for node in nodes for i in node.all_input_nodes if i.target in names]
    return [name.rpartition(".")[0] for name in read] or [module_path(node, None) for node in nodes]


def common_path(program: Program, nodes: Iterable[fx.Node]) -> str:
    """The module that all of them lie in; empty for the top."""
    return _common(paths_of(program, list(nodes)))


def block_path(program: Program, nodes: Iterable[fx.Node], root: fx.Node) -> str:
    """The module that a block is: all of its parameters lie in it, and its sum as far as capture knows where that is.

    Where all parameters are of one module, as with a convolution around which an identity leads, it is the one above.
    """
    paths = paths_of(program, list(nodes))
    common = _common(paths)
    if set(paths) == {common}:
        common = common.rpartition(".")[0]
    above = module_path(root, None)
    return _common([common, above]) if above else common


def _common(paths: Iterable[str]) -> str:
    common: list[str] = []
    for level in zip(*(path.split(".") for path in paths), strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)


def unique(named: Sequence[_Named]) -> list[_Named]:
    """The same with `#2` behind the second of a name, and so on."""
    seen: Counter[str] = Counter()
    found = []
    for one in named:
        seen[one.name] += 1
        found.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name}#{seen[one.name]}"))
    return found
