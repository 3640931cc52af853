"""TensorRT: options of `trtexec` that keep layers in float32, one a line.

`--layerPrecisions=NAME:fp32,...` and `--layerOutputTypes`, with `--precisionConstraints=obey`, without which TensorRT
takes them as a wish. `xargs trtexec --onnx=net.onnx < FILE` reads the file.
"""

import shlex

from qdiag.errors import ConfigError
from qdiag.exporters.settings.plain_plan import PlainPlan

_SEPARATORS = (",", ":")


def tensorrt_settings(plan: PlainPlan) -> str:
    """The file.

    Raises:
        ConfigError: a name that an option cannot hold.
    """
    for name in plan.in_float:
        if any(mark in name for mark in _SEPARATORS):
            raise ConfigError(
                "trtexec separates names by commas and colons, and this one holds one",
                at=name,
                hint="rename the node in the ONNX file",
            )
    lines = [_option("int8")]
    if plan.in_float:
        spec = ",".join(f"{name}:fp32" for name in plan.in_float)
        lines.append(_option("precisionConstraints", "obey"))
        lines += [_option(key, spec) for key in ("layerPrecisions", "layerOutputTypes")]
    return "".join(f"{shlex.quote(line)}\n" for line in lines)


def _option(name: str, value: str | None = None) -> str:
    return f"--{name}" if value is None else f"--{name}={value}"
