"""The diagnosis of a quantized file again, by the rules of the runtime that it is run in."""

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.in_python import GIVEN, is_of_objects
from qdiag.reading.words.commands.repairing import model_and_options
from qdiag.reading.words.commands.shell import as_argument, command_line
from qdiag.reading.words.deployed.rules import differs_much, runtime_settings


def runtime_commands(diagnosis: Diagnosis) -> tuple[str, ...]:
    """One command, or a call in Python; none where what the runtime computes differs little from the simulation."""
    run, file = diagnosis.verification, diagnosis.measurement.deployed
    settings = runtime_settings(run) if run is not None and differs_much(run) else ()
    if file is None or not settings:
        return ()
    if is_of_objects(diagnosis):
        return (GIVEN, f"qdiag.diagnose(model, data, quantized={file.source!r}, overrides={list(settings)})")
    model, words = model_and_options(diagnosis, None, None)
    changes = [word for value in settings for word in ("--set", value)]
    return (command_line(["diagnose", as_argument(model), *words, *changes]),)
