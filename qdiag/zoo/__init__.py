"""Definitions of well-known networks, without weights."""

from qdiag.zoo.build import ZOO, build

__all__ = ["ZOO", "build"]
