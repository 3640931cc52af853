"""One part of a network, by its path."""

from dataclasses import replace

from torch import nn

from qdiag.core.nearest import nearest
from qdiag.errors import LoadError
from qdiag.subject import Subject


def take_submodule(subject: Subject, path: str) -> Subject:
    """The submodule at `path` as the subject, with the whole network as its parent.

    Raises:
        LoadError: no such submodule (the nearest paths are in the hint), or a program without modules.
    """
    root = subject.model
    if not isinstance(root, nn.Module):
        raise LoadError(
            "an exported program has no submodules that could run alone",
            at=subject.source,
            hint=f"export the part itself (torch.export.export(model.{path}, ...)), or read the nn.Module it came from",
        )
    modules = dict(root.named_modules(remove_duplicate=False))
    if not path or path not in modules:
        raise LoadError(
            f"no submodule {path!r} in {subject.architecture}", at=subject.source, hint=_nearest(path, root)
        )
    return replace(subject, model=modules[path], parent=root, submodule=path)


def _nearest(path: str, root: nn.Module) -> str:
    names = [name for name, _ in root.named_modules() if name]
    close = nearest(path, names, at_most=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    children = [name for name, _ in root.named_children()]
    return f"at its top are {', '.join(children[:12])}" if children else "it has no submodules"
