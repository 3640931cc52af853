"""Finding the state dict in a checkpoint, and fitting it to a network."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from torch import Tensor, nn
from torch.ao.quantization import FakeQuantizeBase, ObserverBase

from qdiag.core.listed import listed
from qdiag.errors import LoadError
from qdiag.loaders.models.prepared import prepare_like
from qdiag.loaders.models.values import check_kinds

HOLDERS = (
    "state_dict", "model_state_dict", "model", "ema", "net", "module", "model_state", "params_ema", "params", "net_g",
    "generator", "weights",
)  # fmt: skip
"""Keys under which training scripts keep the model, the first one found wins; they may be nested. Under another key, a
state dict is found when it is the only one."""

_WRAPPERS = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, Lightning and averaging wrappers
_FLOAT_HINT = "give the float model; qdiag quantizes it itself"
_FIT_HINT = "check that `arch` and its arguments are those that the weights were trained with"
_SHOWN = 8
_DEPTH = 4

_Value = TypeVar("_Value")


def find_model(content: object, at: str, key: str | None = None) -> Mapping[str, Tensor] | nn.Module:
    """What a checkpoint keeps the model as: a state dict, or a module that was pickled whole.

    Args:
        key: where to look, `a/b` for a key in a key; everywhere by default.

    Raises:
        LoadError: neither is there, several are, or there is no such key.
    """
    return locate_model(content, at, key)[1]


def locate_model(
    content: object, at: str, key: str | None = None
) -> tuple[tuple[str, ...], Mapping[str, Tensor] | nn.Module]:
    """The keys that lead through the checkpoint to the model, none when it is the model, and what `find_model` finds.

    Raises:
        LoadError: as `find_model`.
    """
    path: tuple[str, ...] = ()
    whole = content
    if key is not None:
        path = (key,) if isinstance(content, Mapping) and key in content else tuple(key.split("/"))
        for name in path:
            if not isinstance(content, Mapping) or name not in content:
                raise LoadError(f"there is no key {key!r} in it{_keys(whole)}", at=at, hint="give one of its keys")
            content = content[name]
    found = _search(content, _DEPTH, path) or _only_one(content, path, at)
    if found is None:
        kind = type(content).__name__
        raise LoadError(
            f"no model in it: it holds a {kind}{_keys(content)}",
            at=at,
            hint=f"save the state dict itself, or a dictionary with it under {', '.join(HOLDERS[:5])}",
        )
    return found


def _keys(content: object) -> str:
    return f" with the keys {listed(sorted(map(str, content)), _SHOWN)}" if isinstance(content, Mapping) else ""


def _only_one(
    content: object, path: tuple[str, ...], at: str
) -> tuple[tuple[str, ...], Mapping[str, Tensor] | nn.Module] | None:
    """The one state dict or module below a key that is not known."""
    found = list(_models(content, path, _DEPTH))
    if len(found) > 1:
        names = ["/".join(inner[0]) for inner in found]
        which = listed(names, _SHOWN)
        raise LoadError(f"there are several models in it, under {which}", at=at, hint=f"say which: `key={names[0]}`")
    return found[0] if found else None


def _models(
    content: object, path: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor] | nn.Module]]:
    if not isinstance(content, Mapping) or depth == 0:
        return
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        found = _search(value, depth - 1, (*path, key))
        if found is None:
            yield from _models(value, (*path, key), depth - 1)
        elif _is_model(found[1]):
            yield found


def _is_model(found: Mapping[str, Tensor] | nn.Module) -> bool:
    """Not the moments of an optimizer, which are tensors by name too."""
    return isinstance(found, nn.Module) or any("." in name or name in ("weight", "bias") for name in found)


def stored_names(state: Mapping[str, object], expected: Mapping[str, object]) -> dict[str, str]:
    """Name in the network to name in the file, for all names that both have, wrapper prefixes aside."""
    renamed = min(_candidates({name: name for name in state}), key=lambda candidate: _distance(candidate, expected))
    return {name: str(stored) for name, stored in renamed.items() if name in expected}


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, at: str, arch: str) -> None:
    """Copies `state` into `model`, which must be our own; prefixes of wrappers go where that makes keys fit.

    Raises:
        LoadError: missing and unexpected keys and other shapes, all listed; or values that are quantized already.
    """
    check_float({name: value for name, value in state.items() if isinstance(value, Tensor)}, at)
    expected = model.state_dict()
    fitted = min(_candidates(dict(state)), key=lambda candidate: _distance(candidate, expected))
    fitted = prepare_like(model, fitted, at=at)
    expected = model.state_dict()
    faults = _faults(fitted, expected, _of_observers(model))
    if faults:
        raise LoadError(f"its weights do not fit {arch}: {'; '.join(faults)}", at=at, hint=_FIT_HINT)
    try:
        model.load_state_dict({name: fitted[name] for name in expected if name in fitted}, strict=False)
    except Exception as error:
        raise LoadError(f"its weights cannot be put into {arch}", at=at) from error


def check_float(tensors: Mapping[str, Tensor], at: str) -> None:
    """Raises `LoadError` for weights that are quantized already, or of a kind that no layer computes with."""
    quantized = [name for name, value in tensors.items() if value.is_quantized]
    if quantized:
        what = "tensor is" if len(quantized) == 1 else "tensors are"
        raise LoadError(
            f"{len(quantized)} {what} quantized already ({listed(quantized, _SHOWN)})", at=at, hint=_FLOAT_HINT
        )
    check_kinds(tensors.items(), at)


def _search(
    content: object, depth: int, path: tuple[str, ...]
) -> tuple[tuple[str, ...], Mapping[str, Tensor] | nn.Module] | None:
    if isinstance(content, nn.Module):
        return path, content
    if not isinstance(content, Mapping) or depth == 0:
        return None
    for holder in HOLDERS:
        if holder in content and (found := _search(content[holder], depth - 1, (*path, holder))) is not None:
            return found
    is_state = all(_is_state(name, value) for name, value in content.items())
    if content and (is_state or any("." in str(name) and isinstance(value, Tensor) for name, value in content.items())):
        return path, {str(name): value for name, value in content.items() if _is_state(name, value)}
    return None


def _is_state(name: object, value: object) -> bool:
    return isinstance(value, Tensor) or str(name).endswith("_extra_state")


def _candidates(state: dict[str, _Value]) -> Iterator[dict[str, _Value]]:
    """`state` itself first, then with wrapper prefixes taken off, one level after the other."""
    seen = [state]
    yield state
    strippers: list[Callable[[str], str]] = [lambda name, p=prefix: name.removeprefix(p) for prefix in _WRAPPERS]  # type: ignore[misc]
    strippers.append(lambda name: name.replace("_orig_mod.", ""))  # torch.compile of an inner module
    for _ in range(_DEPTH):
        level = list(seen)
        for known in level:
            for strip in strippers:
                stripped = {strip(name): value for name, value in known.items()}
                if len(stripped) == len(known) and all(stripped.keys() != other.keys() for other in seen):
                    seen.append(stripped)
                    yield stripped
        if len(seen) == len(level):
            return


def _distance(state: Mapping[str, object], expected: Mapping[str, object]) -> int:
    return len(_missing(state, expected)) + len(_unexpected(state, expected))


def _missing(state: Mapping[str, object], expected: Mapping[str, object]) -> list[str]:
    # Weights that two layers share are often stored once.
    present = {_address(expected[name]) for name in expected if name in state}
    return [
        name
        for name, value in expected.items()
        if name not in state
        and not name.endswith("num_batches_tracked")
        and not (isinstance(value, Tensor) and _address(value) in present)
    ]


def _unexpected(state: Mapping[str, object], expected: Mapping[str, object]) -> list[str]:
    # n_averaged is the counter of torch.optim.swa_utils.AveragedModel.
    return [name for name in state if name not in expected and name != "n_averaged"]


def _address(value: object) -> tuple[object, ...]:
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value) or value.is_meta or value.numel() == 0:
        return ("its own", id(value))
    return (value.data_ptr(), tuple(value.shape), tuple(value.stride()))


def _of_observers(model: nn.Module) -> tuple[str, ...]:
    """Beginnings of the names of what torch.ao's observers hold: they take the shape of what is loaded into them."""
    return tuple(f"{name}." for name, m in model.named_modules() if isinstance(m, ObserverBase | FakeQuantizeBase))


def _faults(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], of_any_shape: tuple[str, ...]) -> list[str]:
    shapes = [
        f"{name} is {_shape(value)} in the file, {_shape(expected[name])} in the network"
        for name, value in state.items()
        if isinstance(expected.get(name), Tensor)
        and isinstance(value, Tensor)
        and not nn.parameter.is_lazy(expected[name])
        and value.shape != expected[name].shape
        and not name.startswith(of_any_shape)
    ]
    found = (
        ("missing key", _missing(state, expected)),
        ("unexpected key", _unexpected(state, expected)),
        ("other shape", shapes),
    )
    return [f"{len(names)} {what}{'s' * (len(names) > 1)} ({listed(names, _SHOWN)})" for what, names in found if names]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single value"
