"""Why the operating system refuses something, or a text cannot be read, in words of our own."""

import errno
import json
import os

_WORDS = {
    errno.ENOENT: "there is no such file",
    errno.EACCES: "its permissions do not allow it",
    errno.EPERM: "its permissions do not allow it",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "something of this name is there already",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the share of the disk that this account has is used up",
    errno.EROFS: "the disk can only be read",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its symbolic links lead in a circle",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.EPIPE: "nobody reads what is written",
    errno.EIO: "the disk reports an error",
    errno.EBADF: "it is closed",
    errno.EBUSY: "another program uses it",
    errno.ETXTBSY: "another program uses it",
    errno.EFBIG: "it would be larger than a file may be",
}


def refusal(error: BaseException) -> str:
    """The reason, as a sentence without a full stop; a fact that this package put into an `OSError` stays."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no part of a UTF-8 text"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno} is no JSON"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if not isinstance(error, OSError):
        return str(error)
    if error.strerror and (error.errno is None or error.strerror != os.strerror(error.errno)):
        return error.strerror
    return _WORDS.get(error.errno or 0, f"the operating system refuses it (error {error.errno})")
