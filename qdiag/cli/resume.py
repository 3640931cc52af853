"""Long runs that may be stopped: what they finished is kept, and the same command goes on from there."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from rich.text import Text

from qdiag.cli.console import print_flowing, remark, stderr_console
from qdiag.core.listed import count_noun
from qdiag.files.cache_folder import FolderCache, cache_folder, cache_limit

EXIT_TERMINATED = 128 + signal.SIGTERM


@contextmanager
def resumable(*, no_cache: bool, quiet: bool) -> Iterator[FolderCache | None]:
    """The cache for a run, None with `--no-cache`; when the run is stopped inside, says how to go on.

    SIGTERM unwinds as Ctrl-C does, so that no half-written file stays, and leaves with 143.

    Raises:
        ConfigError: the limit of the cache in the environment is no number.
    """
    cache = None if no_cache else _open()
    stopped_by: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        stopped_by.append(number)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()  # elsewhere Python lets nobody set handlers
    previous = signal.signal(signal.SIGTERM, stop) if is_main else None
    try:
        yield cache
    except KeyboardInterrupt:
        # a bar that was being drawn left the cursor in its line
        print_flowing(stderr_console(), Text(_how_to_go_on(cache)))
        if stopped_by:
            raise SystemExit(EXIT_TERMINATED) from None
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)
    if cache is not None and cache.problem is not None:
        remark(f"Finished passes could not be kept: {cache.problem}", quiet=quiet)
    elif cache is not None and cache.used:
        passes = _passes(len(cache.used))
        were = "was" if len(cache.used) == 1 else "were"
        remark(f"{passes} of an earlier run {were} used again; --no-cache measures everything anew.", quiet=quiet)


def _open() -> FolderCache | None:
    try:
        return FolderCache(cache_folder(), cache_limit())
    except RuntimeError:  # nobody's home: a container without user and HOME
        return None


def _how_to_go_on(cache: FolderCache | None) -> str:
    count = len(cache.used | cache.stored) if cache is not None else 0
    if not count:
        return "The run was stopped. Nothing was finished that could be kept."
    kept = f"{_passes(count)} {'is' if count == 1 else 'are'} kept"
    kept = f"Run the same command again to go on: {kept}"
    return f"The run was stopped. {kept} (`qdiag cache clear` deletes what is kept)."


def _passes(count: int) -> str:
    return count_noun(count, "finished pass")
