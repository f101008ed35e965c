"""The last known good updates on disk, for a start without Kafka.

A file of lines: a header, one update a line, and the SHA-256 of all that. It replaces its
predecessor in one step, so a reader sees a whole file or none; one that is damaged or of another
organisation is refused and ignored. Several processes may share it: the last writer wins.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rheostat_client.config import Config
from rheostat_client.errors import MalformedMessage, SnapshotRejected
from rheostat_client.logs import Nagger
from rheostat_client.selections import Update, parse, to_json

FORMAT = "rheostat-selections-1"
EVERY_S = 10.0
"""The shortest time between two writes while updates keep coming."""


def default_path(config: Config) -> Path:
    """A file in the user's cache folder, one for each organisation and Kafka."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    who = "\0".join((config.org_id, config.kafka_bootstrap, config.topic_prefix))
    name = hashlib.sha256(who.encode()).hexdigest()[:16]
    return cache / "rheostat-client" / f"{name}.selections"


class Snapshot:
    """Keeps the file up to date. Trouble with the disk is logged and harms nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._nagger = Nagger()
        self._lines: dict[str, tuple[Update, str]] = {}
        self._dirty = False
        self._saved_s = float("-inf")

    def load(self, org_id: str) -> list[Update]:
        """What the file holds; nothing when there is none or it cannot be trusted."""
        try:
            return read(self._path, org_id)
        except FileNotFoundError:
            return []
        except (OSError, SnapshotRejected) as error:
            self._nagger.warn("load", f"the snapshot {self._path} is not used: {error}")
            return []

    def changed(self, capability: str) -> None:
        """Notes that a capability has another update, or none."""
        self._lines.pop(capability, None)
        self._dirty = True

    def save_if_due(self, known: Iterable[Update], now_s: float) -> None:
        """Writes when something changed and the last write is long enough ago."""
        if now_s >= self._saved_s + EVERY_S:
            self.save_if_changed(known, now_s)

    def save_if_changed(self, known: Iterable[Update], now_s: float) -> None:
        """Writes when something changed."""
        if not self._dirty:
            return
        updates = list(known)
        try:
            write(self._path, updates[0].org_id if updates else "", map(self._line, updates))
        except OSError as error:
            self._nagger.warn("save", f"the snapshot {self._path} is not written: {error}")
        else:
            self._dirty = False
        self._saved_s = now_s

    def _line(self, update: Update) -> str:
        """The update's line, made once: all of them at a time would hold up other threads."""
        kept = self._lines.get(update.capability)
        if kept is None or kept[0] is not update:
            kept = (update, json.dumps(to_json(update), separators=(",", ":")))
            self._lines[update.capability] = kept
        return kept[1]


def write(path: Path, org_id: str, lines: Iterable[str]) -> None:
    """Replaces the file in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for text in (json.dumps({"format": FORMAT, "org_id": org_id}), *lines):
                line = text.encode() + b"\n"
                digest.update(line)
                file.write(line)
            file.write(json.dumps({"sha256": digest.hexdigest()}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path, org_id: str) -> list[Update]:
    """Every update of the file. Raises OSError, SnapshotRejected."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < 2:
        raise SnapshotRejected("it is cut short")
    *body, footer = lines
    if _object(footer).get("sha256") != hashlib.sha256(b"".join(body)).hexdigest():
        raise SnapshotRejected("its checksum is wrong")
    header = _object(body[0])
    if header.get("format") != FORMAT:
        raise SnapshotRejected(f"its format is {header.get('format')!r}, not {FORMAT!r}")
    try:
        updates = [parse(_object(line)) for line in body[1:]]
    except MalformedMessage as error:
        raise SnapshotRejected(str(error)) from error
    if any(update.org_id != org_id for update in updates):
        raise SnapshotRejected("it belongs to another organisation")
    return updates


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise SnapshotRejected("a line is not JSON") from error
    if not isinstance(value, dict):
        raise SnapshotRejected("a line is not an object")
    return value
