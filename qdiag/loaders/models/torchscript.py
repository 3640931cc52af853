"""TorchScript: what `torch.jit.save` wrote, scripted or traced."""

import torch

from qdiag.errors import LoadError
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, first_line, refuse_arch
from qdiag.loaders.models.quiet import quiet_torch


def matches(file: ModelFile) -> bool:
    """A zip archive with the constants table and code that only TorchScript has."""
    return "constants.pkl" in file.members and any(name.startswith("code/") for name in file.members)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through torch's own TorchScript reader; no Python pickle is involved.

    Raises:
        LoadError: a damaged archive, or operators that this torch does not know.
    """
    refuse_arch(file, options, "TorchScript")
    try:
        with quiet_torch():
            model = torch.jit.load(str(file.path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        raise LoadError(
            f"the TorchScript archive cannot be read: {first_line(error)}",
            at=file.at,
            hint="it is damaged, or needs custom operators or another version of torch; save it again with this one",
        ) from error
    return LoadedModel(model, "torchscript", str(getattr(model, "original_name", type(model).__name__)))


LOADER = ModelLoader("TorchScript", matches, load)
