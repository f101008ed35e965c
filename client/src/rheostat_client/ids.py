"""Event ids: unique across processes, cheap to make, and never shared with a forked child."""

import itertools
import os


class _Ids:
    def __init__(self) -> None:
        self.forked()

    def forked(self) -> None:
        self._prefix = os.urandom(12).hex()
        self._next = itertools.count(1).__next__

    def new(self) -> str:
        return f"{self._prefix}-{self._next():x}"


_ids = _Ids()
new_id = _ids.new
"""A new id: 96 random bits of this process, a dash, and a running number."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.forked)
