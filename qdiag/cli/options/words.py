"""The options that say which network, data, scheme and task a run was about, as words of a command line."""

from pathlib import Path

from qdiag.cli.inputs import ModelOptions
from qdiag.cli.options.data import DataOptions
from qdiag.cli.options.scheme import SchemeOptions
from qdiag.cli.options.task import TaskOptions


def option_words(
    model: ModelOptions,
    data: DataOptions,
    scheme: SchemeOptions,
    task: TaskOptions | None = None,
    quantized: str | None = None,
    *,
    is_quantized: bool = False,
) -> tuple[str, ...]:
    """Words that lead another command to the same network, data, scheme and task; defaults are left out.

    Args:
        is_quantized: the model is a quantized file itself, which says what a scheme would.
    """
    task = task or TaskOptions()
    pairs: list[tuple[str, object]] = [
        ("--arch", model.arch),
        ("--submodule", model.submodule),
        ("--key", model.key),
        ("--input-shape", model.input_shape),
        ("--data", data.data),
        ("--calib-data", data.calib_data),
        ("--targets", data.targets),
        ("--preset", data.preset),
        ("--resize", data.resize),
        ("--crop", data.crop),
        ("--mean", data.mean),
        ("--std", data.std),
        ("--pixel-scale", data.pixel_scale),
        ("--channel-order", data.channel_order),
        ("--samples", data.samples),
        ("--calib-samples", data.calib_samples if data.calib_samples != DataOptions().calib_samples else None),
        ("--batch-size", data.batch_size if data.batch_size != DataOptions().batch_size else None),
        ("--seed", data.seed if data.seed != DataOptions().seed else None),
        ("--quantized", quantized),
        ("--scheme", scheme.scheme if quantized is None and not is_quantized else None),
        ("--task", task.task),
        ("--output", task.judged_output),
        ("--metric", task.metric),
        ("--metric-direction", task.metric_direction),
        ("--metric-limit", task.metric_limit),
    ]
    words = [word for name, value in pairs if value is not None for word in (name, _plain(value))]
    for argument in data.arg or ():
        words += ["--arg", argument]
    for assignment in scheme.settings:
        words += ["--set", assignment]
    if model.trust:
        words.append("--trust")
    if scheme.no_fold:
        words.append("--no-fold")
    return tuple(words)


def without_scheme(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words of `option_words` for a model that turned out to be a quantized file itself."""
    if "--scheme" not in words:
        return words
    place = words.index("--scheme")
    return (*words[:place], *words[place + 2 :])


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
