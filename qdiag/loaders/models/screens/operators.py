"""Operators that a program from a file may call without trust: those that compute, and nothing else.

torch registers operators that read and write files (`aten::save`, `aten::from_file`), open connections, take a pointer
for a tensor or change the state of the process. A file may name any of them. What may run are the public operators of
ATen's own dispatcher whose arguments are tensors, numbers and a few known words, the private ones that tracing and
exporting write for ordinary networks, and the arithmetic of TorchScript on numbers, lists, texts and dictionaries.
"""

import re
from functools import cache

import torch

# fmt: off
_WITHHELD = frozenset((
    "from_file", "set_", "set", "set_data", "data", "is_leaf", "output_nr", "retain_grad", "requires_grad_",
    "record_stream", "rename", "rename_", "resize_as_sparse_", "sym_constrain_range", "sparse_resize_",
    "sparse_resize_and_clear_", "unsafe_sparse_coo_tensor", "to_mkldnn", "cudnn_is_acceptable", "is_pinned",
    "pin_memory",
))
"""Public operators of the dispatcher that reach beyond their tensors, or that no network needs."""
_WORDS = frozenset((
    "a", "b", "approximate", "assert_msg", "attr", "driver", "el", "equation", "indexing", "interpolation", "mode",
    "norm", "ord", "p", "pad_mode", "padding", "padding_mode", "padding_side", "reduce", "rounding_mode", "self",
    "separator", "side", "string", "substr", "UPLO",
    # names of axes, in torch before 2.12
    "dim", "dim0", "dim1", "dim2", "dims", "end_dim", "names", "order", "out_dim", "outdim", "start_dim",
))
"""Arguments that are text, none of which names a file."""
_PRIVATE = frozenset((
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_add_relu", "_add_relu_", "_aminmax", "_assert_async",
    "_assert_scalar", "_assert_tensor_metadata", "_batch_norm_impl_index", "_batch_norm_no_update",
    "_batch_norm_with_update", "_cast_Byte", "_cast_Char", "_cast_Double", "_cast_Float", "_cast_Half", "_cast_Int",
    "_cast_Long", "_cast_Short", "_cat", "_cdist_forward", "_chunk_cat", "_conj", "_convolution", "_convolution_mode",
    "_ctc_loss", "_dim_arange", "_embedding_bag", "_embedding_bag_forward_only", "_euclidean_dist",
    "_fake_quantize_learnable_per_channel_affine", "_fake_quantize_learnable_per_tensor_affine",
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", "_fft_c2c", "_fft_c2r", "_fft_r2c", "_fused_dropout",
    "_fused_rms_norm", "_fused_sdp_choice", "_functional_assert_async", "_functional_assert_scalar", "_is_all_true",
    "_is_any_true", "_index_put_impl_", "_linalg_det", "_linalg_eigh", "_linalg_slogdet", "_linalg_solve_ex",
    "_linalg_svd", "_local_scalar_dense", "_log_softmax", "_logcumsumexp", "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional", "_native_batch_norm_legit_no_training", "_native_multi_head_attention",
    "_neg_view", "_pack_padded_sequence", "_pad_circular", "_pad_enum", "_pad_packed_sequence", "_pdist_forward",
    "_prelu_kernel", "_reshape_alias", "_reshape_from_tensor", "_resize_output", "_rowwise_prune", "_safe_softmax",
    "_saturate_weight_to_fp16", "_scaled_dot_product_attention_math", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu", "_shape_as_tensor",
    "_softmax", "_stack", "_test_check_tensor", "_thnn_fused_gru_cell", "_thnn_fused_lstm_cell", "_to_copy",
    "_transform_bias_rescale_qkv", "_transformer_encoder_layer_fwd", "_trilinear", "_unique", "_unique2",
    "_unsafe_index", "_unsafe_index_put", "_unsafe_masked_index", "_unsafe_view", "_upsample_bicubic2d_aa",
    "_upsample_bilinear2d_aa", "_upsample_lanczos2d_aa", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    "_weight_norm", "_weight_norm_interface", "_where",
    # TorchScript's own
    "__contains__", "__derive_index", "__getitem__", "__interpolate", "__is__", "__isnot__", "__not__",
    "__range_length", "__round_to_zero_floordiv", "__upsample", "__upsample_bilinear", "__upsample_nearest",
    "_get_tracing_state", "_grad_sum_to_size", "_infer_size", "_list_to_tensor", "_ncf_unsqueeze", "_ncf_view",
    "_no_grad_embedding_renorm_", "_no_grad_fill_", "_no_grad_normal_", "_no_grad_uniform_", "_no_grad_zero_",
    "_set_item", "_size_if_not_equal", "_tensor_to_list", "_unwrap_optional",
))
_SCRIPT = frozenset((
    "Bool", "Complex", "ComplexImplicit", "Delete", "Float", "FloatImplicit", "Int", "IntImplicit", "ScalarImplicit",
    "Size", "append", "as_tensor", "bin", "broadcast_shapes", "capitalize", "center", "chr", "clear", "count", "cpu",
    "cuda", "degrees", "device", "dict", "divmod", "element_size", "endswith", "expandtabs", "extend", "fabs",
    "factorial", "find", "floordiv", "format", "gamma", "get", "get_autocast_dtype", "has_torch_function", "hash",
    "hex", "insert", "is_autocast_cpu_enabled", "is_autocast_enabled", "is_grad_enabled", "is_scripting",
    "is_non_overlapping_and_dense", "is_strides_like_format", "isalnum", "isalpha", "isdecimal", "isdigit",
    "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "items", "join", "keys",
    "len", "list", "ljust", "lower", "lstrip", "mathremainder", "modf", "oct", "ord", "partition", "percentFormat",
    "pop", "popitem", "radians", "remove", "replace", "reverse", "rfind", "rindex", "rjust", "rpartition", "rsplit",
    "rstrip", "setdefault", "sorted", "splitlines", "startswith", "str", "strip", "swapcase", "tensor", "title",
    "update", "upper", "warn", "zfill",
    # known to the dispatcher in later versions of torch only
    "dim", "get_device", "is_contiguous", "numel", "storage_offset",
))
"""Operators of TorchScript's interpreter alone: numbers, lists, texts, dictionaries and facts about tensors."""
_PRIM = frozenset((
    "EnumName", "EnumValue", "ModuleContainerIndex", "NumToTensor", "RaiseException", "StringIndex", "TupleIndex",
    "TupleUnpack", "Uninitialized", "abs", "data", "device", "dtype", "id", "index", "is_cpu", "is_cuda", "is_ipu",
    "is_maia", "is_meta", "is_mkldnn", "is_mps", "is_mtia", "is_nested", "is_quantized", "is_sparse", "is_sparse_csr",
    "is_vulkan", "is_xla", "is_xpu", "itemsize", "layout", "max", "min", "name", "nbytes", "rangelist",
    "requires_grad", "tolist", "type", "unchecked_cast", "unchecked_unwrap_optional",
))
_TORCHVISION = frozenset((
    "nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d",
))
_HIGHER_ORDER = frozenset((
    "associative_scan", "checkpoint", "cond", "flex_attention", "map_impl", "run_with_rng_state", "scan",
    "tag_activation_checkpoint", "while_loop", "wrap", "wrap_activation_checkpoint", "wrap_with_autocast",
    "wrap_with_set_grad_enabled",
))
# fmt: on
_QUANTIZED = ("quantized", "_quantized", "quantized_decomposed", "torchao")
_ARITHMETIC = re.compile(r"__i?(and|or|xor|lshift|rshift)__", re.ASCII)
_TEXT_TYPE = re.compile(r"\bstr\b")


@cache
def may_run(namespace: str, name: str) -> bool:
    """Whether `namespace::name` only computes. Operators that this torch does not know do not run, and so may."""
    if namespace == "aten":
        return _is_aten(name)
    if namespace == "prims":
        return not _has_foreign_text(f"prims::{name}")
    if namespace == "prim":
        return name in _PRIM
    if namespace == "torchvision":
        return name in _TORCHVISION
    if namespace == "higher_order":
        return name in _HIGHER_ORDER
    return is_quantized(namespace)


def is_quantized(namespace: str) -> bool:
    """Whether operators of this namespace belong to networks that are quantized already."""
    return namespace in _QUANTIZED


def is_operator(name: str) -> bool:
    """Whether a method call `x.name(...)` in TorchScript can mean an operator of torch's."""
    return bool(torch._C._jit_get_schemas_for_operator(f"aten::{name}")) or bool(
        torch._C._jit_get_schemas_for_operator(f"prim::{name}")
    )


def _is_aten(name: str) -> bool:
    if name in _SCRIPT or name in _PRIVATE:
        return True
    if name in _WITHHELD or (name.startswith("_") and not _ARITHMETIC.fullmatch(name)):
        return False
    known = f"aten::{name}"
    if not torch._C._jit_get_schemas_for_operator(known):
        return True
    return known in _dispatched() and not _has_foreign_text(known)


def _has_foreign_text(operator: str) -> bool:
    return any(
        _TEXT_TYPE.search(str(argument.type)) and argument.name not in _WORDS
        for schema in torch._C._jit_get_schemas_for_operator(operator)
        for argument in schema.arguments
    )


@cache
def _dispatched() -> frozenset[str]:
    """Operators that PyTorch's dispatcher knows; those of TorchScript's interpreter alone are not among them."""
    return frozenset(name.split(".")[0] for name in torch._C._dispatch_get_all_op_names())
