"""`package.module:name` and `./file.py:name`: an object out of Python code that the user points at.

Loading runs that code, with the rights of whoever calls; see docs/security.md.
"""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

from qdiag.core.listed import listed
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, LoadError
from qdiag.files.code_failure import code_failure

_NAME = r"[A-Za-z_]\w*"
_REFERENCE = re.compile(rf"(?P<place>.+\.py|{_NAME}(\.{_NAME})*):(?P<name>{_NAME}(\.{_NAME})*)")
_FORMS = "write package.module:name or ./file.py:name"


def is_python_ref(reference: str) -> bool:
    """Whether `reference` has the form `package.module:name` or `./file.py:name`."""
    return _REFERENCE.fullmatch(reference) is not None


def load_object(reference: str, suits: Callable[[object], bool] = callable) -> object:
    """The object that a reference names; its module is executed.

    Args:
        reference: `package.module:name` or `./file.py:name`; the name may be dotted (`Net.tiny`).
        suits: which objects the hint may name where there is none of that name.

    Raises:
        ConfigError: another form of reference.
        LoadError: no such file, module or name (the nearest name is in the hint), or the code fails.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError(f"{reference!r} names no Python object", hint=_FORMS)
    place, names = match["place"], match["name"].split(".")
    found: object = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    for name in names:
        if not hasattr(found, name):
            raise LoadError(f"there is no {name!r} in it", at=reference, hint=_nearest(name, found, suits))
        found = getattr(found, name)
    return found


def parse_query(text: str) -> tuple[str, dict[str, object]]:
    """Divides `name?key=value&key=value`: `"mobilenet_v1?width=0.75&bn=false"` → `("mobilenet_v1", {...})`.

    Values are read as int, float or bool where they look like one, else as text; `%26` stands for `&`.

    Raises:
        ConfigError: an argument without a value, without a proper name, or given twice.
    """
    name, mark, query = text.partition("?")
    arguments: dict[str, object] = {}
    for pair in query.split("&") if mark else ():
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"{pair!r} is not key=value", at=text, hint="write NAME?key=value&key=value")
        if key in arguments:
            raise ConfigError(f"argument {key!r} is given twice", at=text)
        arguments[key] = _literal(unquote(value))
    return name, arguments


def _literal(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, int | float) else text


def _load_module(name: str) -> ModuleType:
    # A console script does not have the current folder on its path, as `python -m` has; we add it for the import alone.
    with _path_first(Path.cwd()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise LoadError(f"there is no Python module {error.name!r}", at=name, hint=_FORMS) from error
            raise _failed(name, error) from error
        except (Exception, SystemExit) as error:
            raise _failed(name, error) from error


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadError("there is no such Python file", at=str(path), hint=_FORMS)
    path = path.resolve()
    # One module per path: two files called net.py do not meet, and a class loaded twice stays one class.
    name = f"qdiag_user_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        with _path_first(path.parent), _without_namesakes(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


@contextmanager
def _path_first(folder: Path) -> Iterator[None]:
    """`folder` at the front of `sys.path`, and out of it again."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


_imported_beside: dict[str, str] = {}
"""Name of a module that a file imported from its own folder → that folder."""


@contextmanager
def _without_namesakes(folder: Path) -> Iterator[None]:
    """Inside, `import utils` finds the `utils.py` of `folder`, even after another folder's has been imported."""
    strangers = {name for name, origin in _imported_beside.items() if origin != str(folder) and name in sys.modules}
    aside = {name: sys.modules.pop(name) for name in strangers if _is_in(folder, name)}
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                _imported_beside[name] = str(folder)
        for name, module in aside.items():
            if name not in sys.modules:
                sys.modules[name] = module


def _is_in(folder: Path, name: str) -> bool:
    top = folder / name.partition(".")[0]
    return top.is_dir() or top.with_suffix(".py").is_file()


def _failed(at: str, error: BaseException) -> LoadError:
    hint = f"run it alone first: python {at}" if at.endswith(".py") else f"run it alone first: python -m {at}"
    if isinstance(error, ModuleNotFoundError):
        hint = "install it, or run qdiag from the folder where it lies"
    return LoadError(f"running this code failed: {code_failure(error)}", at=at, hint=hint)


def _nearest(name: str, holder: object, suits: Callable[[object], bool]) -> str:
    """The names of what is defined there; what a module imports from elsewhere is not meant."""
    known = {known: value for known, value in vars(holder).items() if not known.startswith("_") and suits(value)}
    if isinstance(holder, ModuleType):
        known = {one: value for one, value in known.items() if _is_of(value, holder)}
    names = sorted(known)
    return nearest_hint(
        name, names, f"it defines {listed(names, 8)}" if names else "it defines nothing that could be meant"
    )


def _is_of(value: object, module: ModuleType) -> bool:
    home = getattr(value, "__module__", None) or ""
    return f"{home}.".startswith(f"{module.__name__}.")
