"""What runs inside a sandbox: the program's side, and the side of the tests. Standard library only.

The program and the tests are two processes in two sandboxes with a socket between them. The tests
call the program's functions through it: arguments and results are plain data, so a program can
neither touch the tests nor answer with an object that equals everything. Lists, dicts and sets that
a function changes in place are changed on the side of the tests too.

This file is sent to the sandbox as text, together with `plain`, whose names it uses.
"""

import builtins
import json
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.evaluation.sandbox.plain import NotPlain, pack, unpack, update

FRAME_MAX = 16 << 20
"""Bytes of one message."""
TEXT_MAX = 500
RESERVED = frozenset(dir(builtins)) | {"check", "candidate"}


class Gone(BaseException):
    """The other side ended. No Exception, so that no test takes it for an answer."""


class RaisedByProgram(Exception):
    """The program raised an exception of its own making."""


class Channel:
    """Messages as JSON, each after its length."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def send(self, message: dict[str, Any]) -> None:
        """Raises Gone."""
        data = json.dumps(message).encode()
        try:
            self._socket.sendall(len(data).to_bytes(8, "big") + data)
        except OSError as error:
            raise Gone(f"{error}") from None

    def receive(self) -> dict[str, Any]:
        """Raises Gone."""
        size = int.from_bytes(self._exactly(8), "big")
        if size > FRAME_MAX:
            raise Gone(f"an answer of {size} bytes; {FRAME_MAX} are allowed")
        try:
            message = json.loads(self._exactly(size))
        except (ValueError, RecursionError):
            raise Gone("an answer that is no message") from None
        if not isinstance(message, dict):
            raise Gone("an answer that is no message")
        return message

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self._socket.recv(min(size, 1 << 20))
            except OSError as error:
                raise Gone(f"{error}") from None
            if not part:
                raise Gone("the program ended before it answered")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def play(plan: dict[str, Any]) -> None:
    """The role of the plan."""
    if plan["role"] == "program":
        serve(plan["program"], Channel(plan["descriptors"][0]))
    else:
        report, *channel = plan["descriptors"]
        verdict = test(plan, Channel(channel[0]) if channel else None)
        os.write(report, json.dumps(verdict).encode())


def serve(source: str, channel: Channel) -> None:
    """Run the program, say what it defines, then call its functions as asked."""
    names: dict[str, Any] = {"__name__": "program", "__builtins__": builtins}
    try:
        exec(compile(source, "<program>", "exec", dont_inherit=True), names)
    except BaseException as error:
        channel.send({"failed": describe(error)})
        return
    channel.send(
        {
            "functions": [n for n, value in names.items() if callable(value)],
            "values": {n: packed for n, value in names.items() if (packed := constant(value))},
        }
    )
    while True:
        asked = channel.receive()
        arguments = unpack(asked["arguments"])
        try:
            result = names[asked["function"]](*arguments[0], **arguments[1])
            answer = {"value": pack(result), "arguments": pack(arguments)}
        except BaseException as error:
            answer = {"raised": type(error).__name__, "text": describe(error).partition(": ")[2]}
        channel.send(answer)


def constant(value: object) -> Any:
    """A module's value as data; None for what is none, such as a module."""
    try:
        return None if callable(value) else pack(value)
    except NotPlain:
        return None


def test(plan: dict[str, Any], channel: Channel | None) -> dict[str, str]:
    """Run the tests; without a channel in the same process as the program."""
    try:
        code = compile(plan["tests"], "<tests>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {"verdict": "bad tests", "text": describe(error)}
    try:
        entry = plan["entry_point"]
        names = own(plan["program"]) if channel is None else proxies(channel, entry)
        if entry is not None and not callable(names.get(entry)):
            return {"verdict": "failed", "text": f"it does not define {entry}"}
        names |= {"__name__": "tests", "candidate": names.get(entry)}
        exec(code, names)
        if entry is not None and callable(names.get("check")):
            names["check"](names["candidate"])
    except Gone as gone:
        return {"verdict": "ended early", "text": str(gone)}
    except NotPlain as wrong:
        return {"verdict": "not plain", "text": str(wrong)}
    except BaseException as error:
        return {"verdict": "failed", "text": describe(error)}
    return {"verdict": "passed", "text": ""}


def own(source: str) -> dict[str, Any]:
    """What the program defines, in this very process."""
    names: dict[str, Any] = {"__name__": "program", "__builtins__": builtins}
    exec(compile(source, "<program>", "exec", dont_inherit=True), names)
    return names


def proxies(channel: Channel, entry: str | None) -> dict[str, Any]:
    """What the program defines, each function as one that asks the program. Raises Gone."""
    said = channel.receive()
    if "failed" in said:
        raise RaisedByProgram(f"it does not run: {said['failed']}")
    names = {name: unpack(value) for name, value in said["values"].items()}
    names |= {name: proxy(channel, name) for name in said["functions"]}
    # A program that defines len or check must not be asked by the tests that mean their own.
    return {n: value for n, value in names.items() if n == entry or n not in RESERVED}


def proxy(channel: Channel, name: str) -> Callable[..., Any]:
    """A function of the program."""

    def ask(*args: Any, **kwargs: Any) -> Any:
        channel.send({"function": name, "arguments": pack([list(args), kwargs])})
        said = channel.receive()
        if "raised" in said:
            kind = getattr(builtins, str(said["raised"]), None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                raise kind(said["text"])
            raise RaisedByProgram(f"{said['raised']}: {said['text']}")
        after = unpack(said["arguments"])
        for old, new in zip(args, after[0], strict=False):
            update(old, new)
        return unpack(said["value"])

    ask.__name__ = name
    return ask


def describe(error: BaseException) -> str:
    """Type and text, shortened; whatever the text is made of."""
    try:
        return f"{type(error).__name__}: {str(error)[:TEXT_MAX]}".rstrip(": ")
    except BaseException:
        return type(error).__name__
