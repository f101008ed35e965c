"""Plain data as JSON and back: None, bool, int, float, complex, str, bytes, list, tuple, dict, set.

Unlike pickle, unpacking executes nothing. Standard library only: it also runs inside sandboxes.
"""

from typing import Any

INT_EXACT = 1 << 53


class NotPlain(Exception):
    """A value that is no plain data."""


def pack(value: Any) -> Any:
    """As JSON values: scalars themselves, all else as [kind, content]. Raises NotPlain."""
    try:
        return _pack(value)
    except RecursionError:
        raise NotPlain("nested too deep") from None


def _pack(value: Any) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        number = int(value)
        return number if -INT_EXACT < number < INT_EXACT else ["int", hex(number)]
    if isinstance(value, float):
        return ["float", float.hex(value)]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, complex):
        return ["complex", [float.hex(value.real), float.hex(value.imag)]]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    for kind, name in ((list, "list"), (tuple, "tuple"), (set, "set"), (frozenset, "frozenset")):
        if isinstance(value, kind):
            return [name, [_pack(item) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[_pack(key), _pack(item)] for key, item in value.items()]]
    raise NotPlain(f"a {type(value).__name__} is no plain data")


def unpack(value: Any) -> Any:
    """The inverse of `pack`. Raises NotPlain for what `pack` cannot have made."""
    try:
        return _unpack(value)
    except (RecursionError, TypeError, ValueError, KeyError, OverflowError) as error:
        raise NotPlain(f"no packed value: {error}") from None


def _unpack(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, content = value
    match kind:
        case "int":
            return int(content, 16)
        case "float":
            return float.fromhex(content)
        case "complex":
            return complex(*(float.fromhex(part) for part in content))
        case "bytes":
            return bytes.fromhex(content)
        case "dict":
            return {_unpack(key): _unpack(item) for key, item in content}
    kinds: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    return kinds[kind](_unpack(item) for item in content)


def update(old: Any, new: Any) -> None:
    """Give a list, dict or set the content that the other side left it with."""
    if isinstance(old, list) and isinstance(new, list):
        old[:] = new
    elif (isinstance(old, dict) and isinstance(new, dict)) or (
        isinstance(old, set) and isinstance(new, set)
    ):
        old.clear()
        old.update(new)
