"""`python client.py SOCKET WORDS...` is `qdiag WORDS...`, in a process that `server.py` forks: for lines of a shell.

It runs with `-S`, since it imports little; so it starts in a few hundredths of a second.
"""

import json
import os
import signal
import socket
import sys


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def main() -> None:
    streams = [number for number in range(3) if is_open(number)]
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes longer to import than all else
    words = ["qdiag", *sys.argv[2:]]
    request = {"words": words, "code": None, "folder": folder, "variables": dict(os.environ), "open": streams}
    text = json.dumps(request).encode()
    link = socket.socket(socket.AF_UNIX)
    link.connect(sys.argv[1])
    socket.send_fds(link, [f"{len(text):8}".encode()], streams)
    link.sendall(text)
    with link.makefile("rb") as answers:
        answers.readline()
        link.sendall(b"?")
        code = int(answers.readline() or 121)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
