"""The door to models: `MODEL`, `--arch`, `--trust` and `--submodule` as a `Subject`."""

from pathlib import Path

import torch
from torch import nn

from qdiag.errors import LoadError, telling_hints
from qdiag.loaders.missing import check_model
from qdiag.loaders.models import checkpoint as model_checkpoint
from qdiag.loaders.models import exported as model_exported
from qdiag.loaders.models import safetensors as model_safetensors
from qdiag.loaders.models import torchscript as model_torchscript
from qdiag.loaders.models.architecture import load_reference
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelLoader, peek
from qdiag.loaders.models.foreign import refuse_file, refuse_folder
from qdiag.loaders.models.operations import litert as model_litert
from qdiag.loaders.models.operations import onnx as model_onnx
from qdiag.loaders.models.submodule import take_submodule
from qdiag.loaders.models.values import check_finite, check_plain, fingerprint, parameter_count
from qdiag.subject import Subject

__all__ = ["LOADERS", "check_finite", "fingerprint", "load_subject", "parameter_count"]

LOADERS: tuple[ModelLoader, ...] = (
    model_exported.LOADER,
    model_torchscript.LOADER,
    model_checkpoint.LOADER,
    model_safetensors.LOADER,
    model_onnx.LOADER,
    model_litert.LOADER,
)
"""Formats, told by content, the first that matches. A new one is one file and one line here."""
_PROGRAMS = ("torchscript", "exported_program", "onnx", "litert")
"""Formats whose files say what is computed."""


@telling_hints()
def load_subject(
    ref: str | Path,
    *,
    arch: str | None = None,
    trust: bool = False,
    submodule: str | None = None,
    key: str | None = None,
    kept: frozenset[str] = frozenset(),
) -> Subject:
    """Reads a model and makes it ready to be measured: eval mode, float32, no gradients, finite weights.

    Args:
        ref: a model file, or code that builds the network: `./file.py:factory`, `package.module:factory`, `zoo:NAME`.
        arch: how to build the network when the file holds weights alone; the same forms of code.
        trust: pickles in the file may be executed, which is to say: any code.
        submodule: path of the part to look at, `backbone.layer1`; data still go to the whole network.
        key: where the weights are in a checkpoint, `params_ema` or `a/b`; by default they are looked for.
        kept: tensors of an ONNX file that stay apart although they stand inside of what is one operation, such as SiLU.

    Raises:
        UntrustedError: reading the file would execute a pickle, and `trust` is not set.
        ConfigError: `arch` has another form, or its arguments do not fit.
        LoadError: the file cannot be read, weights and network do not fit, weights are not finite, or there is no such
            submodule.
    """
    reference = str(ref)
    loaded = _load(reference, LoadOptions(arch, trust, key, kept))
    check_plain(loaded.model, reference)
    if isinstance(loaded.model, nn.Module):
        _prepare(loaded.model)
    is_untrusted = loaded.format in _PROGRAMS and not trust
    subject = Subject(loaded.model, loaded.format, reference, loaded.architecture, key=key, is_untrusted=is_untrusted)
    if submodule is not None:
        if loaded.format == "onnx":
            raise LoadError(
                "an ONNX file has no modules",
                at=reference,
                hint="cut a part out with onnx.utils.extract_model, and measure that",
            )
        if loaded.format == "litert":
            raise LoadError("a LiteRT file has no modules", at=reference, hint="leave `submodule` out")
        subject = take_submodule(subject, submodule)
    check_finite(subject)
    return subject


def _load(reference: str, options: LoadOptions) -> LoadedModel:
    path = Path(reference)
    if not path.exists():
        check_model(reference)
        if options.arch is not None:
            raise LoadError(
                "this reference already builds a network",
                at=reference,
                hint="leave `arch` out, or give a file of weights",
            )
        return load_reference(reference)
    if path.is_dir():
        raise refuse_folder(path)
    file = peek(path, options.key)
    for loader in LOADERS:
        if loader.matches(file):
            if options.key is not None and loader is not model_checkpoint.LOADER:
                raise LoadError(f"a file of {loader.name} has no keys", at=reference, hint="leave `key` out")
            return loader.load(file, options)
    raise refuse_file(file)


def _prepare(model: nn.Module) -> None:
    """Eval mode, no gradients, one float type. The model is our own: it was read or built a moment ago."""
    model.eval()
    for parameter in model.parameters():  # a ScriptModule has no requires_grad_
        if not nn.parameter.is_lazy(parameter):  # such a network is refused a moment later
            parameter.requires_grad_(False)
    kinds = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    if kinds - {torch.float32}:
        model.float()  # float16, bfloat16 and float64 checkpoints; the reference is float32
