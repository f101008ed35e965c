"""Server-sent events, however the bytes are cut."""

import pytest

from agents.evaluation.runner import sse
from agents.evaluation.runner.failures import CallFailed
from agents.evaluation.runner.sse import Events

STREAM = (
    b": hello\r\nevent: a\r\ndata: one\r\n\r\ndata:two\ndata: more\n\nid: 3\n\ndata: \xc3\xbc\n\n"
)
WANTED = [b"one", b"two\nmore", "ü".encode()]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_of_any_size_give_the_same_events(size: int) -> None:
    events = Events()
    pieces = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]
    assert [e for piece in pieces for e in events.feed(piece)] == WANTED
    assert list(events.end()) == []


def test_the_last_event_needs_no_blank_line() -> None:
    events = Events()
    assert list(events.feed(b"data: a\n\ndata: [DONE]")) == [b"a"]
    assert list(events.end()) == [b"[DONE]"]


def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_BYTES_MAX", 100)
    with pytest.raises(CallFailed, match="an event of over 100 bytes"):
        list(Events().feed(b"data: " + b"x" * 200))
