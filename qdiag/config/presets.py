"""The schemes that are shipped as files: one TOML file per preset in `configs/`."""

from pathlib import Path

from qdiag.errors import ConfigError

_INSTALLED = Path(__file__).parent.parent / "configs"
_CHECKOUT = Path(__file__).parent.parent.parent / "configs"

DEFAULT_PRESET = "int8"


def presets_folder() -> Path:
    """Beside the package's code when installed from a wheel, at the top of the repository in a checkout.

    Raises:
        ConfigError: neither is there.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        if (folder / f"{DEFAULT_PRESET}.toml").is_file():
            return folder
    raise ConfigError("the preset schemes are missing", at=str(_INSTALLED), hint="install qdiag again")


def preset_names() -> tuple[str, ...]:
    """Names for `--scheme`, in alphabetical order."""
    return tuple(sorted(path.stem for path in presets_folder().glob("*.toml")))


def preset_path(name: str) -> Path:
    """File of one preset.

    Raises:
        KeyError: no preset has that name.
    """
    if name not in preset_names():
        raise KeyError(name)
    return presets_folder() / f"{name}.toml"
