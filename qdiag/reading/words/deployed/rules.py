"""A simulation that does not follow the rules of the runtime: what that means, and which settings follow them."""

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.verification import Verification
from qdiag.core.scheme import RuntimeName
from qdiag.reading.words.deployed.verification import pair_words, percent_words
from qdiag.reading.words.numbers import with_unit
from qdiag.reading.words.task.figures import value_words

_KERNELS: dict[str, RuntimeName] = {"reference kernels": "tflite-ref", "without delegates": "tflite"}
"""Of LiteRT, as its name ends; XNNPACK otherwise."""


def runtime_settings(run: Verification) -> tuple[str, ...]:
    """`arithmetic=ort`, `pair_saturation=true`: the fields of a scheme that follow the runtime on this processor.

    Empty where the simulation follows a runtime already.
    """
    if run.scheme.arithmetic != "float":
        return ()
    name = run.operations.runtime
    if not name.startswith("onnxruntime"):
        return (f"arithmetic={_KERNELS.get(name.rpartition(', ')[2], 'xnnpack')}",)
    return ("arithmetic=ort", *(("pair_saturation=true",) if _saturates(run) else ()))


def differs_much(run: Verification) -> bool:
    """Beyond the limits of `qdiag verify`: what is measured on the simulation need not hold in the runtime."""
    return any(breach.code in ("differing", "sqnr_gap") for breach in run.breaches)


def doubt_words(run: Verification) -> str:
    """`What is measured here need not hold in the runtime: there 22 % of the integers differ.`"""
    return (
        "What is measured here need not hold in the runtime: there "
        f"{percent_words(run.differing_percent)} of the integers differ, and the output SQNR is "
        f"{with_unit(run.deployed_sqnr_db, 'dB', 2)}, where {with_unit(run.simulated_sqnr_db, 'dB', 2)} are simulated."
    )


def reservation_of_runtime(diagnosis: Diagnosis) -> str:
    """`in its runtime the file computes otherwise: top-1 is 18.8 % there, where 96.7 % are simulated`.

    Empty where it does not differ much.
    """
    run = diagnosis.verification
    if run is None or not differs_much(run):
        return ""
    own, simulated = run.deployed_task.judged, run.simulated_task.judged
    if own is None or simulated is None:
        name, figures = (
            "the output SQNR",
            [with_unit(one, "dB", 2) for one in (run.deployed_sqnr_db, run.simulated_sqnr_db)],
        )
    else:
        name, figures = own.criterion.name, [value_words(own.criterion, one.simulated) for one in (own, simulated)]
    return f"in its runtime the file computes otherwise: {name} is {figures[0]} there, where {figures[1]} are simulated"


def no_better_words(diagnosis: Diagnosis) -> str:
    """That the repaired file answers no better in its runtime than the one before; empty where it does."""
    before, after = diagnosis.verification, diagnosis.repaired_run
    if before is None or after is None:
        return ""
    old, new = before.deployed_task.judged, after.deployed_task.judged
    if old is not None and new is not None:
        if new.loss < old.loss:
            return ""
        figures = f"{value_words(new.criterion, new.simulated)}, {value_words(old.criterion, old.simulated)} before"
        figures = f"{new.criterion.name} {figures}"
    elif after.deployed_sqnr_db > before.deployed_sqnr_db:
        return ""
    else:
        sqnr = [with_unit(run.deployed_sqnr_db, "dB", 2) for run in (after, before)]
        figures = f"output SQNR {sqnr[0]}, {sqnr[1]} before"
    return f"In its runtime the repaired file is no better than the file that was read: {figures}."


def rules_words(run: Verification) -> tuple[str, ...]:
    """What makes integers equal where the simulation does not follow the runtime; nothing where it does, or all are."""
    settings = runtime_settings(run)
    if not settings or not run.differing_count:
        return ()
    if "pair_saturation=true" in settings:
        return (*pair_words(run), "with the arithmetic ort and pair_saturation the simulation follows these rules")
    name = settings[0].partition("=")[2]
    return (
        "the simulation rounds in the way that integer runtimes have in common, and differences add up over "
        f"the layers; with the arithmetic {name} the simulation follows the rules of this runtime",
    )


def _saturates(run: Verification) -> bool:
    """Its kernels add pairs that saturate, and the simulation does not."""
    scheme = run.scheme
    return run.adds_pairs and not scheme.pair_saturation and not scheme.activations.signed
