"""Every shelf of one organisation: what Kafka said, over what the snapshot on disk remembers."""

import time
from collections.abc import Iterable

from rheostat_client.errors import MalformedMessage
from rheostat_client.selections import Update, parse
from rheostat_client.shelf import Shelf
from rheostat_client.snapshot import Snapshot
from rheostat_client.wire import Schemas, decode


class Table:
    """Listens to `selection-updates`; readers look into `shelves` without a lock.

    Until the topic is read to its end, its messages are only collected: replaying a compacted
    topic passes through old updates and tombstones, which nobody should be served by.
    """

    def __init__(self, org_id: str, schemas: Schemas, snapshot: Snapshot | None) -> None:
        self._org_id = org_id
        self._schemas = schemas
        self._snapshot = snapshot
        self._replayed: dict[str, Update | None] | None = {}
        self.shelves: dict[str, Shelf] = {}
        if snapshot is not None:
            self.shelves = {u.capability: Shelf(u, confirmed=False) for u in snapshot.load(org_id)}

    def restart(self) -> None:
        """What is known goes on to serve while the topic is read again from its beginning."""
        self._replayed = {}

    def apply(self, key: str, value: bytes | None) -> None:
        owner, _, capability = key.partition("/")
        if owner != self._org_id:
            return
        update = None
        if value is not None:
            update = parse(decode(value, "SelectionUpdate", self._schemas))
            if (update.org_id, update.capability) != (owner, capability):
                raise MalformedMessage(f"an update of {update.org_id}/{update.capability}")
        if self._replayed is None:
            self._set(capability, update)
            self.idle()
        else:
            self._replayed[capability] = update

    def loaded(self) -> None:
        for capability, update in (self._replayed or {}).items():
            kept = self.shelves.get(capability)
            if update is not None and kept and kept.update.issued_at_ms > update.issued_at_ms:
                continue  # the snapshot is ahead of a topic that was restored from a backup
            self._set(capability, update)
        self._replayed = None
        self.idle()

    def idle(self) -> None:
        if self._snapshot is not None:
            self._snapshot.save_if_due(self._known(), time.monotonic())

    def ended(self) -> None:
        if self._snapshot is not None:
            self._snapshot.save_if_changed(self._known(), time.monotonic())

    def _set(self, capability: str, update: Update | None) -> None:
        if update is None:
            self.shelves.pop(capability, None)
        else:
            self.shelves[capability] = Shelf(update, confirmed=True)
        if self._snapshot is not None:
            self._snapshot.changed(capability)

    def _known(self) -> Iterable[Update]:
        return (shelf.update for shelf in list(self.shelves.values()))
