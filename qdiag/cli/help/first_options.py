"""Which options of a command stand on its first screen; `--help-all` lists all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

OFTEN = ("data", "preset", "scheme")
"""Options that many commands share, and that hardly any run does without."""

SELDOM = ("force",)
"""Options of a command that its first screen leaves out."""

CHOSEN: Mapping[str, tuple[str, ...]] = {
    "diagnose": (
        "data", "preset", "scheme", "quantized", "repaired", "train", "exhaustive", "no_sensitivity", "bits",
        "out", "json",
    ),
    "verify": (
        "data", "preset", "scheme", "quantized", "runtime", "max_differing", "max_sqnr_gap", "max_drop", "top",
        "json",
    ),
    "gate": (
        "max_drop", "max_flips", "max_metric_drop", "min_sqnr", "min_layer_sqnr", "allow", "forbid", "strict",
        "baseline", "update_baseline", "tolerance", "json", "junit", "sarif", "markdown",
    ),
    "qat": (
        "data", "calib_data", "preset", "scheme", "output", "epochs", "train_batch", "optimizer", "learning_rate",
        "distill", "loss", "layers", "refit_separable",
    ),
}  # fmt: skip
"""For commands with more options of their own than a screen has lines: those that are asked for most."""


def first_options(command: str, names: Sequence[str]) -> tuple[str, ...]:
    """Names of parameters in the order of the first screen.

    Args:
        names: of all options of the command.
    """
    if command in CHOSEN:
        return CHOSEN[command]
    shared = _shared_names()
    return (*(name for name in OFTEN if name in names), *(name for name in names if name not in (*shared, *SELDOM)))


def _shared_names() -> set[str]:
    """Fields of the groups of options that commands have in common."""
    from qdiag.cli.inputs import ModelOptions
    from qdiag.cli.options.data import DataOptions
    from qdiag.cli.options.scheme import SchemeOptions
    from qdiag.cli.options.task import TaskOptions
    from qdiag.cli.run import RunOptions

    groups = (ModelOptions, DataOptions, SchemeOptions, TaskOptions, RunOptions)
    return {field.name for group in groups for field in fields(group)} - {"model"}
