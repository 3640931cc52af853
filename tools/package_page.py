"""The page that a package index shows: the README with links that work there, and the project's addresses.

`QDIAG_REPOSITORY_URL` says where the repository is; the release workflow sets it. A build without it keeps the README
as it is, since a checkout does not know its own address.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

VARIABLE = "QDIAG_REPOSITORY_URL"
_LINK = re.compile(r"(?P<image>!?)(?P<text>\[[^\]]*\])\((?!\w+:|#)(?P<path>[^)\s]+)\)")


def page(readme: str, address: str) -> str:
    """The README with absolute links: pictures as raw files, everything else as the repository shows it."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}{link['text']}({address}/{kind}/main/{link['path']})"

    return _LINK.sub(absolute, readme) if address else readme


def addresses(address: str) -> dict[str, str]:
    """What stands beside the page; nothing without an address."""
    if not address:
        return {}
    return {
        "Source": address,
        "Documentation": f"{address}/blob/main/docs/index.md",
        "Changes": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }


class PackagePage(MetadataHookInterface):
    """Called by the build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fills in the readme and the addresses."""
        self.fill(metadata, os.environ)

    def fill(self, metadata: dict[str, Any], environment: Mapping[str, str]) -> None:
        """The same, with the environment given."""
        address = environment.get(VARIABLE, "").rstrip("/")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": page(readme, address)}
        metadata["urls"] = addresses(address)
