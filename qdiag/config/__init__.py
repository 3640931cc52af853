"""From TOML files and options to schemes."""

from qdiag.config.presets import DEFAULT_PRESET, preset_names, presets_folder
from qdiag.config.scheme_file import change_scheme, load_preset, load_scheme

__all__ = ["DEFAULT_PRESET", "change_scheme", "load_preset", "load_scheme", "preset_names", "presets_folder"]
