"""Programs from files that nobody trusts run for the first time in a child process."""

from qdiag.batches import Batch
from qdiag.capture.capture import capture
from qdiag.loaders.probe import Limits, probe
from qdiag.onnx.network import OnnxNetwork
from qdiag.pipeline.preparation.original import Original
from qdiag.subject import Subject

_HINT = "it is damaged, or made to do so; if you trust where it comes from, `trust` leaves this trial out"


def try_apart(subject: Subject, example: Batch) -> None:
    """Runs and captures a program that came from a file without trust, where a crash or a loop is not the end.

    Nothing is left of it. Errors that it raises there are left to the run itself. Other models are not run.

    Raises:
        LoadError: it crashed, did not end in time, or asked for more memory than the machine has.
    """
    if not subject.is_untrusted:
        return

    def run() -> None:
        Original(subject.model)(example)
        if not isinstance(subject.model, OnnxNetwork):  # whose graph is recorded without values
            capture(subject, example)

    probe(run, limits=Limits.of_run(), at=subject.source, deed="running it on its first samples", hint=_HINT)
