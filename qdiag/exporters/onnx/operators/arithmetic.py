"""Additions, products and other arithmetic on two operands or one."""

from collections.abc import Mapping

from qdiag.exporters.onnx.call import Call, Named, Size
from qdiag.exporters.onnx.operators.kind import Writer, Written


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sizes(call: Call, op: str) -> Size | None:
    """Arithmetic on sizes, where neither side is a tensor."""
    first, second = call.get("self", call.get("0")), call.get("other", call.get("1"))
    if isinstance(first, Named) or isinstance(second, Named):
        return None
    return Size(call.add(op, call.sizes([first]), call.sizes([second])))


def _binary(op: str) -> Writer:
    def write(call: Call) -> Written:
        sizes = _sizes(call, op)
        if sizes is not None:
            return sizes
        first, second = call.get("self"), call.get("other")
        like = first.name if isinstance(first, Named) else second.name
        return call.add(op, call.operand("self", like), call.operand("other", like))

    return write


def _add(call: Call) -> Written:
    """`x + alpha * y`; a number is added as an integer of the operand beside it."""
    alpha = float(call.get("alpha", 1))
    if alpha == 1.0:
        return _binary("Add")(call)
    other = call.get("other")
    x = call.tensor("self")
    if _is_number(other):
        return call.add("Add", x, call.number(alpha * float(other), x))
    return call.add("Add", x, call.add("Mul", call.tensor("other"), call.number(alpha), suffix="/alpha"))


def _sub(call: Call) -> Written:
    """Minus a number is plus its negative, which has an integer kernel."""
    other, alpha = call.get("other"), float(call.get("alpha", 1))
    x = call.get("self")
    if _is_number(other) and isinstance(x, Named):
        return call.add("Add", x.name, call.number(-alpha * float(other), x.name))
    if alpha == 1.0:
        return _binary("Sub")(call)
    y = call.add("Mul", call.tensor("other"), call.number(alpha), suffix="/alpha")
    return call.add("Sub", call.operand("self"), y)


def _rsub(call: Call) -> str:
    x = call.tensor("self")
    return call.add("Sub", call.operand("other", x), x)


def _div(call: Call) -> Written:
    """Divided by a number is multiplied with its reciprocal, which has an integer kernel."""
    other, mode = call.get("other"), call.get("rounding_mode")
    x = call.get("self")
    if mode is None and _is_number(other) and float(other) and isinstance(x, Named):
        return call.add("Mul", x.name, call.number(1.0 / float(other), x.name))
    if mode is None:
        return _binary("Div")(call)
    if mode != "floor":
        raise call.error(f"with rounding_mode={mode!r} is not written")
    y = call.operand("other")
    return call.add("Floor", call.add("Div", call.tensor("self"), y, suffix="/quotient"))


def _floor_of_sizes(call: Call) -> Written:
    sizes = _sizes(call, "Div")
    if sizes is None:
        raise call.error("of tensors is not written")
    return sizes


def _pow(call: Call) -> str:
    exponent = call.get("exponent")
    x = call.operand("self")
    if _is_number(exponent) and float(exponent) == 2.0:
        return call.add("Mul", x, x)
    return call.add("Pow", x, call.operand("exponent"))


def _square(call: Call) -> str:
    x = call.tensor("self")
    return call.add("Mul", x, x)


def _one(op: str) -> Writer:
    return lambda call: call.add(op, call.tensor("self"))


def _extreme(op: str) -> Writer:
    return lambda call: call.add(op, call.tensor("self"), call.operand("other"))


def _rsqrt(call: Call) -> str:
    return call.add("Reciprocal", call.add("Sqrt", call.tensor("self"), suffix="/root"))


def _squared_difference(call: Call) -> str:
    if call.get("reduction", 1) != 0:
        raise call.error("that is added up is not written")
    difference = call.add("Sub", call.tensor("self"), call.operand("target"), suffix="/difference")
    return call.add("Mul", difference, difference)


OPERATORS: Mapping[str, Writer] = {
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "mul": _binary("Mul"),
    "div": _div,
    "floordiv": _floor_of_sizes,
    "pow": _pow,
    "square": _square,
    "rsqrt": _rsqrt,
    "mse_loss": _squared_difference,
    "maximum": _extreme("Max"),
    "minimum": _extreme("Min"),
    **{
        name: _one(op)
        for name, op in {
            "neg": "Neg",
            "reciprocal": "Reciprocal",
            "exp": "Exp",
            "sqrt": "Sqrt",
            "log": "Log",
            "abs": "Abs",
            "erf": "Erf",
            "sin": "Sin",
            "cos": "Cos",
            "sign": "Sign",
            "floor": "Floor",
            "round": "Round",
        }.items()
    },
}
