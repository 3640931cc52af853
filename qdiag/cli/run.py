"""How every command that measures runs: one session, its progress, and the passes that are kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qdiag.cli.options.common import DebugOption, DeviceOption, NoCacheOption, QuietOption, VerboseOption
from qdiag.cli.process import launched_rank, prepare_process
from qdiag.cli.resume import resumable
from qdiag.cli.waiting.watched_run import make_progress, shown
from qdiag.core.progress import NoProgress
from qdiag.errors import ConfigError
from qdiag.files.standard_output import prints_to_stderr

if TYPE_CHECKING:
    from qdiag.simulate.session import Session


@dataclass(frozen=True)
class RunOptions:
    """Where a command runs, whether finished passes are kept, and what it says on stderr meanwhile."""

    device: DeviceOption = "auto"
    no_cache: NoCacheOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False
    debug: DebugOption = False  # main() reads it


@contextmanager
def running(options: RunOptions, *, seed: int = 0, is_divided: bool = False) -> Iterator["Session"]:
    """The session of a command.

    Args:
        is_divided: processes that `torchrun` started divide the samples of every pass.

    Raises:
        ConfigError: no such device here, or options that exclude each other.
    """
    is_beside = launched_rank() > 0  # the first process of several speaks for all
    progress = NoProgress() if is_beside else make_progress(quiet=options.quiet, verbose=options.verbose)
    prepare_process()
    from qdiag.simulate.session import open_session

    quiet = options.quiet or is_beside
    # a bar is taken away before anything is said of how to go on
    with prints_to_stderr(), resumable(no_cache=options.no_cache, quiet=quiet) as cache, shown(progress):
        try:
            with open_session(
                device=options.device, progress=progress, seed=seed, cache=cache, is_divided=is_divided
            ) as session:
                yield session
        except ConfigError as error:
            if error.at == "device":  # the library knows no options
                error.at = f"--device {options.device}"
            raise
