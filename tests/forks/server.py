"""Forks a process for each command line that is asked for, of one that has imported before what commands import.

`python server.py SOCKET`, with the Python code that imports it, as JSON, on the first line of standard input; it stops
when standard input ends. `client.py` and `forking.py` ask.

A child ends as Python ends, with its own finalization; its streams are made as Python makes them at its start.
"""

import codecs
import gc
import json
import os
import select
import socket
import sys
import traceback
from typing import Any, TextIO

LENGTH_BYTES = 8


def serve(path: str) -> tuple[dict[str, Any], list[int]] | None:
    """Answers until standard input ends; in the process of a command, what was asked and its standard streams."""
    between_count = 0
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        link = listener.accept()[0]
        if os.fork() == 0:
            listener.close()
            return between(link)
        link.close()
        between_count += 1
        while between_count and os.waitpid(-1, os.WNOHANG)[0]:
            between_count -= 1
    while between_count:
        os.wait()
        between_count -= 1
    return None


def between(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Starts the process that was asked for, tells its number, and, when it is asked again, how it ended."""
    first, streams, _, _ = socket.recv_fds(link, LENGTH_BYTES, 3)
    wanted, text = int(first), b""
    while len(text) < wanted:
        text += link.recv(wanted - len(text))
    request = json.loads(text)
    number = os.fork()
    if number == 0:
        link.close()
        return request, streams
    for stream in streams:
        os.close(stream)
    link.sendall(f"{number}\n".encode())
    link.recv(1)  # until asked for, a process that has ended keeps its number: no other can be hit
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    try:
        link.sendall(f"{code}\n".encode())
    finally:
        os._exit(0)


def settle(request: dict[str, Any], streams: list[int]) -> None:
    """Directory, variables, arguments and standard streams of the process, as those of one that was started."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.argv = request["words"]
    given = dict(zip(request["open"], streams, strict=True))
    for number in range(3):
        if number in given:
            os.dup2(given[number], number)
        else:
            os.close(number)
    for stream in streams:
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (made(number, number in given) for number in range(3))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def made(number: int, is_open: bool) -> TextIO:
    """A standard stream: none where it is closed, in the encoding of PYTHONIOENCODING, else in UTF-8."""
    if not is_open:
        return None  # type: ignore[return-value]
    named, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    errors = "backslashreplace" if number == 2 else errors or "strict"
    encoding = codecs.lookup(named or "utf-8").name
    buffering = 1 if number == 2 or os.isatty(number) else -1
    return open(number, "r" if number == 0 else "w", buffering, encoding, errors, closefd=False)


def main() -> None:
    exec(json.loads(sys.stdin.readline()), {})
    gc.collect()
    gc.freeze()
    asked = serve(sys.argv[1])
    if asked is None:
        return
    try:
        settle(*asked)
    except BaseException:
        traceback.print_exc()
        os._exit(120)
    if (code := asked[0]["code"]) is not None:
        exec(code, {"__name__": "__main__"})
        return
    from qdiag.cli.app import main as command

    command()


main()
