"""torch's readers warn and log about themselves; what matters of that is put into our own messages."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _Keep(logging.Handler):
    def __init__(self, errors: list[BaseException]) -> None:
        super().__init__()
        self.errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])


@contextmanager
def quiet_torch() -> Iterator[list[BaseException]]:
    """No warnings, and no log lines of torch, inside the block.

    Yields:
        Errors that torch logged and went on from, filled as they come: the causes of what it raises in the end.
    """
    errors: list[BaseException] = []
    handler = _Keep(errors)
    loggers = [logging.getLogger(name) for name in _torch_loggers()]
    before = [(logger, logger.propagate, list(logger.handlers)) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [handler]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield errors
    finally:
        for logger, propagate, handlers in before:
            logger.propagate, logger.handlers = propagate, handlers


def _torch_loggers() -> list[str]:
    known = [name for name in logging.root.manager.loggerDict if name == "torch" or name.startswith("torch.")]
    return sorted({"torch", "torch.export", "torch._export", "torch.export.pt2_archive._package", *known})


@contextmanager
def unheard() -> Iterator[None]:
    """What code from a file prints inside the block is dropped: standard output is for results alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


@contextmanager
def weights_only_forced() -> Iterator[None]:
    """Inside the block, every `torch.load` of the process uses the restricted unpickler, whatever it was asked for."""
    names = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": None}
    before = {name: os.environ.get(name) for name in names}
    try:
        _set(names)
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
