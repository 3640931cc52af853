"""Settings in which two runs differ, in words instead of the names that they have in `--json`."""

from qdiag.core.compare import Difference

_NAMES = {
    "model.source": "model",
    "model.format": "format of the model",
    "model.architecture": "architecture",
    "model.parameter_count": "number of parameters",
    "model.digest": "sha256 of the weights",
    "data.source": "data",
    "data.calibration_source": "data to calibrate from",
    "data.calibration_count": "number of samples to calibrate from",
    "data.measured_count": "number of measured samples",
    "data.split": "which samples calibrate",
    "data.is_data_free": "inputs are drawn",
    "data.is_labelled": "samples have labels",
    "data.preprocessing": "preprocessing",
    "data.seed": "seed",
    "data.digest": "sha256 of the data",
    "task.kind": "task",
    "task.output": "output that is judged",
    "task.judged_by": "judged by",
    "graph.route": "captured by",
    "graph.batchnorms_folded": "number of folded BatchNorms",
}
_YES_NO = {"True": "yes", "False": "no"}
NOT_SET = "not set"


def setting_words(difference: Difference) -> tuple[str, str, str]:
    """Its name, and its values before and after: `not set` where one side does not have it.

    A field of the scheme is called as in a scheme's file and in `--set`: `weights.bits of the scheme`.
    """
    before, after = (_YES_NO.get(value, value) or NOT_SET for value in (difference.before, difference.after))
    group, _, name = difference.name.partition(".")
    if group == "scheme":
        return ("scheme" if name == "name" else f"{name} of the scheme"), before, after
    if group == "versions":
        return f"version of {name}", before, after
    return _NAMES.get(difference.name, difference.name), before, after
