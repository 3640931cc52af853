"""`torchmetrics.package.Name(key=value)`: a metric of the torchmetrics package, by its name."""

import ast
import importlib
import re
from types import ModuleType

from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, LoadError, first_line
from qdiag.loaders.python_ref import load_object

PACKAGE = "torchmetrics"
_NAMES = re.compile(rf"{PACKAGE}(\.[A-Za-z_]\w*)+")
_CALL = re.compile(rf"{_NAMES.pattern}\s*(\(.*)?", re.DOTALL)
_FORM = f"write {PACKAGE}.classification.MulticlassF1Score(num_classes=10), with plain values as arguments"


def load_metric(reference: str) -> object:
    """A metric: of torchmetrics by its name and arguments, or any object out of the user's own code.

    Args:
        reference: `torchmetrics.package.Name`, with arguments in brackets where it needs some; or what `load_object`
            takes.

    Raises:
        ConfigError: arguments that are no plain values, or that the metric refuses.
        LoadError: torchmetrics is not installed, or has no metric of that name; or what `load_object` raises.
    """
    return _of_torchmetrics(reference.strip()) if _CALL.fullmatch(reference.strip()) else load_object(reference)


def _of_torchmetrics(reference: str) -> object:
    names, args, kwargs = _parsed(reference)
    found = _found(names, reference)
    try:
        return found(*args, **kwargs)
    except Exception as error:
        raise ConfigError(f"the metric cannot be made: {first_line(error)}", at=reference, hint=_FORM) from error


def _parsed(reference: str) -> tuple[list[str], list[object], dict[str, object]]:
    """Names after the package, and the arguments; nothing is executed."""
    try:
        node = ast.parse(reference, mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        names = ast.unparse(call.func)
        args: list[object] = [ast.literal_eval(arg) for arg in call.args]
        kwargs: dict[str, object] = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords if word.arg}
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfigError("the arguments are no plain values", at=reference, hint=_FORM) from error
    if len(kwargs) != len(call.keywords) or not _NAMES.fullmatch(names):
        raise ConfigError("the arguments are no plain values", at=reference, hint=_FORM)
    return names.split(".")[1:], args, kwargs


def _found(names: list[str], reference: str) -> type:
    """The class of a metric: modules of torchmetrics are walked, and nothing that one of them imports."""
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise LoadError(f"importing {PACKAGE} failed: {first_line(error)}", at=reference) from error
        raise LoadError(
            f"{PACKAGE} is not installed", at=reference, hint="install it: pip install 'qdiag[metrics]'"
        ) from error
    place: object = package
    for name in names:
        if not (isinstance(place, ModuleType) and f"{place.__name__}.".startswith(f"{PACKAGE}.")):
            raise LoadError("it names no metric of torchmetrics", at=reference, hint=_FORM)
        if not hasattr(place, name):
            hint = nearest_hint(name, dir(place), _FORM)
            raise LoadError(f"{place.__name__} has no {name!r}", at=reference, hint=hint)
        place = getattr(place, name)
    if not (isinstance(place, type) and issubclass(place, package.Metric)):
        raise LoadError("it names no metric of torchmetrics", at=reference, hint=_FORM)
    return place
