"""Train the network of `qdiag demo` and write its checkpoint and its images.

    python tools/train_demo.py            one to two minutes on one core; writes into qdiag/demo_assets
    python tools/train_demo.py --dry-run --depthwise-std 0.19    the control: kernels as torch would start them
    python tools/train_demo.py --check    measures the shipped files again, writes nothing

A small MobileNetV1 learns scikit-learn's digits under a high learning rate and a strong weight decay.  Some
channels die: what reaches their depthwise convolution is zero, its variance decays to nothing, and BatchNorm's gain
becomes gamma / sqrt(eps).  Nothing is edited after training.  The table at the end is measured by the
few lines of fake quantization below, which share no code with the package.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.zoo import build

ASSETS = Path(__file__).resolve().parent.parent / "qdiag" / "demo_assets"
ARGUMENTS: dict[str, object] = {"width": 0.25, "classes": 10, "activation": "relu6"}
TRAIN, CALIB, EVAL = 1297, 100, 400
EPOCHS, BATCH, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 40, 64, 0.6, 0.9, 0.02
# BatchNorm takes the scale of a depthwise kernel out of the function, so a large start costs the float network nothing;
# a channel that dies keeps its first kernel, since neither gradient nor decay reaches it any more
DEPTHWISE_STD = 4.0
DEAD_VARIANCE = 1e-6  # against bn_eps = 1e-3


def digits(seed: int) -> dict[str, np.ndarray]:
    """Scikit-learn's 1,797 digits as RGB images (N, 32, 32, 3) uint8, shuffled and split."""
    stored = load_digits()
    grey = torch.from_numpy(stored.images).float()[:, None] / 16.0
    large = F.interpolate(grey, size=(32, 32), mode="bilinear", align_corners=False)
    pixels = (255.0 * large).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    order = np.random.default_rng(seed).permutation(len(pixels))
    bounds = {"train": order[:TRAIN], "calib": order[TRAIN : TRAIN + CALIB], "eval": order[TRAIN + CALIB :]}
    arrays: dict[str, np.ndarray] = {}
    for split, rows in bounds.items():
        arrays[f"{split}_images"] = np.ascontiguousarray(pixels[rows])
        arrays[f"{split}_labels"] = stored.target[rows].astype(np.int64)
    assert len(arrays["eval_images"]) == EVAL
    return arrays


def to_input(images: np.ndarray) -> Tensor:
    """Bytes (N, H, W, C) to (N, C, H, W) in [-1, 1], the preset `tf`."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def train(arrays: dict[str, np.ndarray], seed: int, depthwise_std: float) -> nn.Module:
    """SGD, one cycle of the learning rate, weight decay on all kernels but the depthwise ones (nor on BatchNorm)."""
    torch.manual_seed(seed)
    model = build("mobilenet_v1_small", ARGUMENTS).train()
    decayed, free = [], []
    for name, parameter in model.named_parameters():
        if name.endswith(".dw.weight"):
            nn.init.normal_(parameter, std=depthwise_std)
        is_dense_kernel = name.endswith("weight") and "bn" not in name and ".dw." not in name
        (decayed if is_dense_kernel else free).append(parameter)
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": free}], LEARNING_RATE, MOMENTUM
    )
    x, y = to_input(arrays["train_images"]), torch.from_numpy(arrays["train_labels"])
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=EPOCHS * steps, pct_start=0.1)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x))
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            shift = torch.randint(-2, 3, (2,)).tolist()
            loss = F.cross_entropy(model(x[rows].roll(shift, (2, 3))), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1:3d}/{EPOCHS}  loss {loss.item():.4f}", flush=True)
    return model.eval()


def fold(model: nn.Module) -> nn.Module:
    """A copy with every BatchNorm folded into the convolution before it."""
    folded = copy.deepcopy(model)
    pairs = [(folded, "conv1", "bn1")]
    for block in folded.get_submodule("blocks").children():
        pairs += [(block, "dw", "dw_bn"), (block, "pw", "pw_bn")]
    for parent, conv_name, bn_name in pairs:
        conv, bn = parent.get_submodule(conv_name), parent.get_submodule(bn_name)
        gain = bn.weight / torch.sqrt(bn.running_var + bn.eps)
        conv.weight = nn.Parameter(conv.weight * gain[:, None, None, None])
        conv.bias = nn.Parameter(bn.bias - gain * bn.running_mean)
        setattr(parent, bn_name, nn.Identity())
    return folded


def repair(model: nn.Module) -> nn.Module:
    """A copy in which dead depthwise channels have the mean variance of their layer's others (arXiv 1803.08607)."""
    repaired = copy.deepcopy(model)
    for block in repaired.get_submodule("blocks").children():
        variance = block.get_submodule("dw_bn").running_var
        dead = variance < DEAD_VARIANCE
        variance[dead] = variance[~dead].mean()
    return repaired


def fake_quantize(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Affine uint8 and back, over ranges that are widened to hold 0."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    scale = (high - low) / 255.0
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero_point = torch.round(-low / scale)
    return (torch.clamp(torch.round(x / scale) + zero_point, 0, 255) - zero_point) * scale


def quantize(folded: nn.Module, calib: Tensor, per_channel: bool) -> nn.Module:
    """A copy with uint8 weights, input and activations, min-max ranges over `calib`; the bias stays float."""
    quantized = copy.deepcopy(folded)
    ranges: dict[str, tuple[Tensor, Tensor]] = {"": (calib.min(), calib.max())}
    sites = [n for n, m in folded.named_modules() if isinstance(m, nn.ReLU6 | nn.AdaptiveAvgPool2d | nn.Linear) and n]
    handles = [
        folded.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: ranges.update({name: (output.min(), output.max())})
        )
        for name in sites
    ]
    folded(calib)
    for handle in handles:
        handle.remove()
    for module in quantized.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            rows = module.weight.flatten(1) if per_channel else module.weight.flatten()[None]
            shape = (-1,) + (1,) * (module.weight.ndim - 1)
            low, high = rows.amin(1).view(shape), rows.amax(1).view(shape)
            module.weight = nn.Parameter(fake_quantize(module.weight, low, high))
    for name in sites:
        quantized.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: fake_quantize(output, *ranges[name])
        )
    quantized.register_forward_pre_hook(lambda _module, inputs: fake_quantize(inputs[0], *ranges[""]))
    return quantized


@torch.no_grad()
def accuracies(model: nn.Module, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Top-1 in percent on the evaluation images, of the network and of what quantization and repair make of it."""
    calib, x = to_input(arrays["calib_images"]), to_input(arrays["eval_images"])
    folded, repaired = fold(model), fold(repair(model))
    variants = {
        "float": model,
        "float, BatchNorm folded": folded,
        "uint8 per tensor": quantize(folded, calib, per_channel=False),
        "uint8 per channel": quantize(folded, calib, per_channel=True),
        "float, dead variances repaired": repaired,
        "uint8 per tensor, repaired": quantize(repaired, calib, per_channel=False),
    }
    labels = torch.from_numpy(arrays["eval_labels"])
    return {name: top1(variant(x), labels) for name, variant in variants.items()}


def top1(logits: Tensor, labels: Tensor) -> float:
    """Share of right answers in percent."""
    return 100.0 * (logits.argmax(1) == labels).double().mean().item()


@torch.no_grad()
def report(model: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Print the accuracy of every variant and the dead channels of every depthwise layer."""
    for name, accuracy in accuracies(model, arrays).items():
        print(f"{name:32s} {accuracy:6.2f} %")
    x, labels, folded = to_input(arrays["eval_images"]), torch.from_numpy(arrays["eval_labels"]), fold(model)
    print(f"largest |change| of a logit by folding {(model(x) - folded(x)).abs().max().item():.1e}")
    for index, block in enumerate(model.get_submodule("blocks").children()):
        report_layer(f"blocks.{index}.dw", block.get_submodule("dw_bn").running_var < DEAD_VARIANCE, folded, x, labels)


def report_layer(name: str, dead: Tensor, folded: nn.Module, x: Tensor, labels: Tensor) -> None:
    """Print what the dead channels of one depthwise layer do to its range, and what that alone costs."""
    alone, arriving = copy.deepcopy(folded), []
    conv = alone.get_submodule(name)
    peak = conv.weight.abs().flatten(1).amax(1)
    conv.weight = nn.Parameter(fake_quantize(conv.weight, conv.weight.min(), conv.weight.max()))
    conv.register_forward_pre_hook(lambda _module, inputs: arriving.append(inputs[0].abs().amax((0, 2, 3))))
    accuracy = top1(alone(x), labels)
    line = f"{name}  {int(dead.sum()):2d} dead of {len(dead):3d}; largest |folded weight|: live {peak[~dead].max():.1f}"
    if dead.any():
        line += f", dead {peak[dead].max():.1f} (largest |input| there {arriving[0][dead].max():.1g})"
    print(f"{line}; this layer's weights alone in uint8 per tensor: {accuracy:.2f} %")


def write(model: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Write checkpoint and images, each whole or not at all."""
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ASSETS.parent) as folder:
        checkpoint, images = Path(folder) / "digits_mobilenet.safetensors", Path(folder) / "digits.npz"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, checkpoint)
        np.savez_compressed(images, **{name: array for name, array in arrays.items() if not name.startswith("train")})
        for path in (checkpoint, images):
            path.chmod(0o644)
            path.replace(ASSETS / path.name)


def main() -> None:
    """Train, measure, write; or measure what is there."""
    parser = argparse.ArgumentParser(description="Train the network of `qdiag demo`.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--depthwise-std", type=float, default=DEPTHWISE_STD, help="of the depthwise kernels at the start"
    )
    parser.add_argument("--dry-run", action="store_true", help="train and measure, write nothing")
    parser.add_argument("--check", action="store_true", help="measure the shipped files, train and write nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the order of float sums, and so the result, depends on the number of threads
    if options.check:
        model = build("mobilenet_v1_small", ARGUMENTS)
        model.load_state_dict(load_file(ASSETS / "digits_mobilenet.safetensors"))
        with np.load(ASSETS / "digits.npz") as stored:
            report(model, dict(stored))
        return
    arrays = digits(seed=0)
    model = train(arrays, options.seed, options.depthwise_std)
    report(model, arrays)
    if not options.dry_run:
        write(model, arrays)


if __name__ == "__main__":
    main()
