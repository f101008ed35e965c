"""Keys of endpoints, found by reference when a call is made: never stored, never logged."""

import os
from dataclasses import dataclass
from pathlib import Path

from agents.evaluation.runner.failures import CallFailed

OWN_PREFIX = "RHEOSTAT_"
BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """`folder`: the only place where file: references may lead.

    Whoever edits a model chooses its reference and its address together. So no reference may lead
    to what is not meant for endpoints: not to our own settings, and not out of the folder.
    """

    folder: Path

    def resolve(self, reference: str | None) -> str | None:
        """The key; None for no reference. Raises CallFailed(authentication)."""
        if reference is None:
            return None
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self._variable(name)
        if kind == "file":
            return self._file(name)
        raise CallFailed(
            "authentication",
            f"the runner finds secrets by env:NAME or file:NAME, not by {kind}: let your secret "
            "store write a file or a variable",
        )

    def _variable(self, name: str) -> str:
        if name.upper().startswith(OWN_PREFIX):
            text = f"env:{name} is a setting of Rheostat's own, not a key of an endpoint"
            raise CallFailed("authentication", text)
        value = os.environ.get(name, "").strip()
        if not value:
            text = f"the runner's environment has no {name}"
            raise CallFailed("authentication", text)
        return _one_line(value, f"env:{name}")

    def _file(self, name: str) -> str:
        folder = self.folder.resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            text = f"file:{name} is outside of the folder for secrets (RHEOSTAT_SECRETS_DIR)"
            raise CallFailed("authentication", text)
        try:
            with path.open("rb") as file:
                value = file.read(BYTES_MAX).decode().strip()
        except (OSError, ValueError) as error:
            text = f"file:{name} cannot be read: {type(error).__name__}"
            raise CallFailed("authentication", text) from error
        if not value:
            raise CallFailed("authentication", f"file:{name} is empty")
        return _one_line(value, f"file:{name}")


def _one_line(value: str, name: str) -> str:
    """A key goes into a header. Raises CallFailed for one that would make two of it."""
    if not value.isascii() or not value.isprintable():
        raise CallFailed("authentication", f"{name} holds more than one line of plain text")
    return value
