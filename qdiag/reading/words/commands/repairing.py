"""The commands that repair what was found, ready to be pasted into a shell."""

import math
from collections.abc import Sequence
from glob import escape
from pathlib import PurePath

from qdiag.core.causes.ranking import Ranking, Trial
from qdiag.core.causes.repair import FLOAT_BOUND
from qdiag.core.causes.repair_traits import TRAITS, RepairTraits
from qdiag.core.causes.score import FloatCost
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.reading.words.commands.deployed import file_commands
from qdiag.reading.words.commands.in_python import change_calls, file_calls, is_of_objects, repair_calls
from qdiag.reading.words.commands.shell import as_argument, command_line, option, quoted
from qdiag.reading.words.commands.steps import Step, last_ones_last, steps_of
from qdiag.reading.words.task.float_cost import checkpoint_words

_SUFFIXES = {".pt", ".pth", ".pt2", ".ts", ".ckpt", ".tar", ".safetensors", ".bin", ".th", ".onnx"}
NO_SETTING = "{} ({}): no setting of a scheme makes this change; whatever quantizes the network has to make it"
NO_COMMAND = "# no command can write this: {}"
NOT_WRITTEN = "No command writes that into the network: whatever quantizes it has to be told."
NO_BIAS = "no layer has a bias of its own that could hold it; whatever quantizes the network has to add it"
_SCHEME_VALUES, _SCHEME_FLAGS = ("--scheme", "--set", "--arithmetic"), ("--no-fold",)
"""Options whose place a file with the whole scheme takes."""
_USUAL_METHOD = "mean"
"""Of `qdiag fix-bn`, where nobody says another one."""
_BUILT_FORMATS = ("checkpoint", "safetensors")
"""Formats without the network's code: reading them takes `--arch`."""


def ranking_of(source: Diagnosis | Ranking) -> Ranking:
    """The ranking, of a diagnosis or itself."""
    return source.ranking if isinstance(source, Diagnosis) else source


def commands(
    source: Diagnosis | Ranking, model_source: str | None = None, options: Sequence[str] | None = None
) -> tuple[str, ...]:
    """What to run, in order: each line works on what the line before wrote. Empty when nothing is proved to help.

    Repairs of weights write a checkpoint beside the one that was read (`net.fixed.pt2`), then `net.fixed2.pt2`, ...,
    each under the changes of the plan before it; these are measured together at the end, with the values of `--set`
    that make the scheme so. What no command can write, with what to change instead, and what a checkpoint does to the
    float network, is a line of comment.

    Args:
        model_source: the model as the command line names it; a diagnosis knows its own.
        options: words of the command line that say which network, data and scheme; a diagnosis knows its own.
    """
    ranking = ranking_of(source)
    if ranking.harm.verdict != "harmed":
        return ()
    if isinstance(source, Diagnosis) and model_source is None and is_of_objects(source):
        return repair_calls(ranking) if source.measurement.deployed is None else file_calls(source)
    model, words = model_and_options(source, model_source, options)
    if isinstance(source, Diagnosis) and source.measurement.deployed is not None:
        return file_commands(source, model, words)
    lines: list[str] = []
    settings: list[str] = []
    model = as_argument(model)
    current, written_count, is_program = model, 0, False

    def about(read: str) -> list[str]:
        """The options for one file: what code built is written as weights alone, which take that code again."""
        if is_program:  # it holds the network as well
            return _without_arch(words)
        return words if read == model or not _is_code(model) or "--arch" in words else ["--arch", model, *words]

    is_for_quantized_alone = False
    for step in last_ones_last(steps_of(ranking)):
        traits = TRAITS.get(step.repair)
        if traits is not None and traits.writes == "plan" and not step.settings:
            what = NO_SETTING.format(traits.title, listed([quoted(name) for name in step.layers]))
            lines.append(NO_COMMAND.format(what))
        elif traits is None or traits.writes == "plan":
            settings += [value for value in step.settings if value not in settings]
        elif traits.why_not_written is not None:
            lines.append(NO_COMMAND.format(traits.why_not_written[1]))
        elif traits.must_be_last and step.cost is None:
            lines.append(NO_COMMAND.format(f"{traits.title}: {NO_BIAS}"))
        else:
            written_count += 1
            target = _fixed_name(model, written_count, is_program=is_program or traits.writes == "graph")
            lines += [f"# {words}" for words in checkpoint_words(ranking, step.cost, quoted(target))]
            words_of_step = _write_words(traits, current, target, step)
            lines.append(command_line([*words_of_step, *about(current), *_set_words(settings)]))
            is_for_quantized_alone = step.cost is not None and step.cost.is_of_checkpoint and step.cost.is_too_much
            current, is_program = target, is_program or traits.writes == "graph"
    if settings and not is_for_quantized_alone:  # held against that checkpoint's float network, no figure would count
        file = source.repaired_scheme_file if isinstance(source, Diagnosis) else ""
        lines.append(command_line(["sqnr", current, *_under(about(current), settings, file)]))
    return tuple(lines)


def plan_settings(ranking: Ranking) -> tuple[str, ...]:
    """What the proposed repairs change of the scheme, as values of `--set`."""
    if ranking.harm.verdict != "harmed":
        return ()
    steps = [step for step in last_ones_last(steps_of(ranking)) if _is_plan(step)]
    return tuple(dict.fromkeys(value for step in steps for value in step.settings))


def takes_scheme_files(diagnosis: Diagnosis) -> bool:
    """The scheme is one of its own, and not that of a quantized file."""
    return bool(diagnosis.options) and "--quantized" not in diagnosis.options


def scheme_words(lines: Sequence[str]) -> str:
    """What the commands do not write; empty where they write all of it."""
    if any(line.startswith("qdiag.measure(") for line in lines):
        return f"The values of overrides change the scheme. {NOT_WRITTEN}"
    if not any(line.startswith("qdiag sqnr ") for line in lines):
        return ""
    if any(" --set" in line for line in lines):
        return f"The values of --set change the scheme. {NOT_WRITTEN}"
    return f"The file says how the network has to be quantized. {NOT_WRITTEN}"


def way_around_commands(diagnosis: Diagnosis, trial: Trial) -> tuple[str, ...]:
    """How to measure a change of scheme by itself; empty where no setting of the scheme makes it so, or where the
    whole network would be in float."""
    if not trial.settings or leaves_all_in_float(diagnosis, trial):
        return ()
    if is_of_objects(diagnosis):
        return change_calls(trial)
    model, words = model_and_options(diagnosis, None, None)
    file = diagnosis.scheme_file if trial == diagnosis.ranking.way_around else ""
    return (command_line(["sqnr", as_argument(model), *_under(words, trial.settings, file)]),)


def leaves_all_in_float(diagnosis: Diagnosis, trial: Trial) -> bool:
    """Nothing is quantized any more under this change: there would be nothing to measure."""
    layers = [record for record in diagnosis.measurement.records if record.kind != "input" and record.is_quantized]
    traits = TRAITS.get(trial.repair)
    return traits is not None and traits.leaves_float and {record.name for record in layers} <= set(trial.layers)


def _is_plan(step: Step) -> bool:
    traits = TRAITS.get(step.repair)
    return traits is None or traits.writes == "plan"


def _under(words: Sequence[str], settings: Sequence[str], file: str) -> list[str]:
    """The options with the changed scheme: by its file, which says all of it, or by the settings that change it."""
    if not file:
        return [*words, *_set_words(settings)]
    kept, skips = list[str](), False
    for word in words:
        if skips:
            skips = False
        elif word in _SCHEME_VALUES:
            skips = True
        elif word not in _SCHEME_FLAGS and not word.startswith("--set="):
            kept.append(word)
    return [*kept, *option("--scheme", file)]


def _write_words(traits: RepairTraits, model: str, target: str, step: Step) -> list[str]:
    bound = _bound_words(traits, step.cost)
    if traits.fix_bn_method is not None:
        method = ["--method", traits.fix_bn_method] if traits.fix_bn_method != _USUAL_METHOD else []
        return ["fix-bn", model, "-o", target, *method, *bound]
    head = ["repair", model, "--with", traits.name, *bound, "-o", target]
    places = step.layers if traits.must_be_last else ()
    return [*head, *(word for name in places for word in option("--layers", escape(name)))]


def _bound_words(traits: RepairTraits, cost: FloatCost | None) -> list[str]:
    """Room for what the repair was seen to do to the float output, where that is more than a command allows."""
    moved = cost.relative_delta if cost is not None and math.isfinite(cost.relative_delta) else 0.0
    if not traits.must_be_last and 2.0 * moved <= FLOAT_BOUND:
        return []
    least = 1.0 if traits.must_be_last else 0.0
    return ["--float-bound", f"{max(least, _rounded_up(2.0 * moved)):g}"]


def _rounded_up(value: float) -> float:
    """To one digit."""
    if value <= 0.0:
        return 0.0
    digit = 10.0 ** math.floor(math.log10(value))
    return digit * math.ceil(value / digit)


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
    if measurement.deployed is not None:
        return [*words, "--quantized", measurement.deployed.source]
    return [*words, "--scheme", measurement.scheme.name]


def trained_name(model: str, *, is_program: bool = False) -> str:
    """`weights/net.trained.pt2` beside `weights/net.pt2`."""
    return _name_beside(model, "trained", is_program=is_program)


def _fixed_name(model: str, number: int, *, is_program: bool) -> str:
    """`weights/net.fixed.pt2` beside `weights/net.pt2`; code that builds a network becomes a state dict, and whatever
    has other layers now a program."""
    return _name_beside(model, "fixed" if number == 1 else f"fixed{number}", is_program=is_program)


def _name_beside(model: str, mark: str, *, is_program: bool) -> str:
    path = PurePath(model)
    if _is_code(model):
        return f"{mark}.pt2" if is_program else f"{mark}.pt"
    return as_argument(str(path.with_name(f"{path.stem}.{mark}{'.pt2' if is_program else path.suffix}")))


def _without_arch(words: Sequence[str]) -> list[str]:
    """The options without the one that says how the network is built."""
    at = words.index("--arch") if "--arch" in words else len(words)
    return [*words[:at], *words[at + 2 :]]


def _is_code(model: str) -> bool:
    """No file of weights, but what builds a network."""
    path = PurePath(model)
    return path.suffix.lower() not in _SUFFIXES or ":" in path.name


def _set_words(settings: Sequence[str]) -> list[str]:
    return [word for value in settings for word in option("--set", value)]
