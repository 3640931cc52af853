"""Values remembered by the very object that they belong to."""

import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ByIdentity(Generic[T]):
    """Values by object, for as long as the object lives.

    Networks, weights and statistics are large, hard to compare and never written to during a run, so the object itself
    is the key. An object that is gone leaves nothing behind that another one with its address could be given.
    """

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[object], T]] = {}

    def get(self, key: object) -> T | None:
        """What is known of this very object."""
        found = self._values.get(id(key))
        return found[1] if found is not None and found[0]() is key else None

    def put(self, key: object, value: T) -> None:
        """Remembers a value.

        Raises:
            TypeError: an object that cannot be referred to weakly, such as a number or one with slots.
        """
        values, at = self._values, id(key)
        values[at] = (weakref.ref(key, lambda _: values.pop(at, None)), value)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What is known of this object, made where nothing is."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found
