"""Words that options accept; checked before anything is loaded."""

from enum import Enum


class Device(str, Enum):
    """Where the network runs."""

    CPU = "cpu"
    CUDA = "cuda"
    AUTO = "auto"


class Order(str, Enum):
    """Order of the rows."""

    WORST = "worst"
    GRAPH = "graph"


class SortKey(str, Enum):
    """Which figure `worst` goes by."""

    LOCAL = "local"
    PROPAGATED = "propagated"


class ChannelOrder(str, Enum):
    """Of the network's input."""

    RGB = "rgb"
    BGR = "bgr"


class PreprocessingPreset(str, Enum):
    """Names of `qdiag.loaders.images.preprocessing.PRESETS`, which cannot be asked here: it needs torch."""

    NONE = "none"
    IMAGENET = "imagenet"
    IMAGENET_STATS = "imagenet-stats"
    TF = "tf"
    CAFFE = "caffe"
    CIFAR10 = "cifar10"
