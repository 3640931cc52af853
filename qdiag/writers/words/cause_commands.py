"""The commands that repair what was found, ready to be pasted into a shell."""

import shlex
from collections.abc import Sequence
from glob import escape
from pathlib import PurePath

from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.causes.repair_traits import TRAITS, RepairTraits
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.printable import is_printable

_ANSI_C = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SUFFIXES = {".pt", ".pth", ".pt2", ".ts", ".ckpt", ".tar", ".safetensors", ".bin", ".th", ".onnx"}
_BUILT_FORMATS = ("checkpoint", "safetensors")
"""Formats without the network's code: reading them takes `--arch`."""


def ranking_of(source: Diagnosis | Ranking) -> Ranking:
    """The ranking, of a diagnosis or itself."""
    return source.ranking if isinstance(source, Diagnosis) else source


def commands(
    source: Diagnosis | Ranking, model_source: str | None = None, options: Sequence[str] | None = None
) -> tuple[str, ...]:
    """What to run, in order: each line works on what the line before wrote. Empty when nothing is proved to help.

    Repairs of weights write a checkpoint beside the one that was read (`net.fixed.pt2`), then `net.fixed2.pt2`, ...;
    changes of the plan are measured together at the end, with the values of `--set` that make the scheme so. What must
    be done in the network's code is a line of comment.

    Args:
        model_source: the model as the command line names it; a diagnosis knows its own.
        options: words of the command line that say which network, data and scheme; a diagnosis knows its own.
    """
    ranking = ranking_of(source)
    if ranking.harm.verdict != "harmed":
        return ()
    model, words = model_and_options(source, model_source, options)
    lines: list[str] = []
    settings: list[str] = []
    model = as_argument(model)
    current, written_count = model, 0

    def about(read: str) -> list[str]:
        """The options for one file: what code built is written as weights alone, which take that code again."""
        return words if read == model or not _is_code(model) or "--arch" in words else ["--arch", model, *words]

    for repair, own_settings, layers in _last_ones_last(_steps(ranking)):
        traits = TRAITS.get(repair)
        if traits is None or traits.writes == "plan":
            settings += [value for value in own_settings if value not in settings]
        elif traits.why_not_written is not None:
            lines.append(f"# {traits.why_not_written[1]}")
        else:
            written_count += 1
            target = _fixed_name(model, written_count)
            lines.append(
                command_line(
                    [*_write_words(traits, current, target, layers), *about(current), *_fit_words(traits, settings)]
                )
            )
            current = target
    if settings:
        lines.append(command_line(["sqnr", current, *about(current), *_set_words(settings)]))
    return tuple(lines)


def way_around_commands(
    source: Diagnosis | Ranking,
    trial: Trial,
    model_source: str | None = None,
    options: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """How to measure a change of scheme by itself; empty where no setting of the scheme makes it so."""
    if not trial.settings:
        return ()
    model, words = model_and_options(source, model_source, options)
    return (command_line(["sqnr", as_argument(model), *words, *_set_words(trial.settings)]),)


_Step = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A repair, its settings, and its layers: empty for the whole network."""


def _steps(ranking: Ranking) -> list[_Step]:
    if ranking.waterfall and ranking.regained > 0.0:
        return [(step.repair, step.settings, step.layers if step.code else ()) for step in ranking.waterfall]
    trials = [_first_proved(cause) for cause in ranking.claimed]
    return list(dict.fromkeys((t.repair, t.settings, t.layers) for t in trials if t is not None))


def _last_ones_last(steps: Sequence[_Step]) -> list[_Step]:
    """Repairs that fit the rounding of the weights as they then are come after the others, each once."""
    last: dict[str, list[_Step]] = {}
    for step in steps:
        if step[0] in TRAITS and TRAITS[step[0]].must_be_last:
            last.setdefault(step[0], []).append(step)
    merged: list[_Step] = [step for step in steps if step[0] not in last]
    for name, same in last.items():
        layers = tuple(dict.fromkeys(layer for _, _, own in same for layer in own))
        merged.append((name, (), layers if all(own for _, _, own in same) else ()))
    return merged


def _write_words(traits: RepairTraits, model: str, target: str, layers: Sequence[str]) -> list[str]:
    if traits.fix_bn_method is not None:
        return ["fix-bn", model, "-o", target, "--method", traits.fix_bn_method]
    head = ["repair", model, "--with", traits.name]
    if not traits.must_be_last:
        return [*head, "-o", target]
    places = [word for name in layers for word in _option("--layers", escape(name))]
    return [*head, "--float-bound", "1", "-o", target, *places]


def _fit_words(traits: RepairTraits, settings: Sequence[str]) -> list[str]:
    """The scheme that a repair is made for, where it is made for one."""
    return _set_words(settings) if traits.must_be_last else []


def _first_proved(cause: RankedCause) -> Trial | None:
    return next((t for t in cause.trials if t.is_claim and t.keeps_scheme), None)


def model_and_options(
    source: Diagnosis | Ranking, model_source: str | None, options: Sequence[str] | None
) -> tuple[str, list[str]]:
    """The model and the options that say which network, data and scheme, as words of a command line."""
    known = source if isinstance(source, Diagnosis) else None
    model = model_source or (known.measurement.model.source if known else "MODEL")
    if options is not None:
        return model, list(options)
    return model, _own_options(known) if known else []


def _own_options(diagnosis: Diagnosis) -> list[str]:
    """Those of the run; from a diagnosis made in Python, what its measurement tells of them."""
    if diagnosis.options:
        return list(diagnosis.options)
    measurement = diagnosis.measurement
    words = []
    if measurement.model.format in _BUILT_FORMATS and ":" in measurement.model.architecture:
        words += ["--arch", measurement.model.architecture]
    if not measurement.data.is_data_free:
        words += ["--data", measurement.data.source]
    return [*words, "--scheme", measurement.scheme.name]


def _fixed_name(model: str, number: int) -> str:
    """`weights/net.fixed.pt2` beside `weights/net.pt2`; code that builds a network becomes a state dict."""
    path = PurePath(model)
    mark = "fixed" if number == 1 else f"fixed{number}"
    if _is_code(model):
        return f"{mark}.pt"
    return as_argument(str(path.with_name(f"{path.stem}.{mark}{path.suffix}")))


def _is_code(model: str) -> bool:
    """No file of weights, but what builds a network."""
    path = PurePath(model)
    return path.suffix.lower() not in _SUFFIXES or ":" in path.name


def _set_words(settings: Sequence[str]) -> list[str]:
    return [word for value in settings for word in _option("--set", value)]


def _option(name: str, value: str) -> list[str]:
    """One word where the value would be taken for an option itself."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def command_line(words: Sequence[str]) -> str:
    """A command of this program, ready for a shell."""
    return " ".join(map(quoted, ["qdiag", *words]))


def quoted(word: str) -> str:
    """A word for a shell, on one line whatever it holds: `$'...'` where it has characters that do not print.

    That form is of POSIX.1-2024, and of bash, zsh and ksh long before.
    """
    if is_printable(word):
        return shlex.quote(word)
    body = "".join(_ANSI_C.get(c) or (c if is_printable(c) else _bytes_of(c)) for c in word)
    return f"$'{body}'"


def _bytes_of(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def as_argument(path: str) -> str:
    """A path that is not taken for an option."""
    return f"./{path}" if path.startswith("-") else path
