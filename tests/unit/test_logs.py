"""Logs: readable on a terminal, JSON otherwise, for our own words and the libraries' alike."""

import io
import json
import logging

import pytest
import structlog

from infra import logs
from tests.support.logs import restored


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def written(monkeypatch: pytest.MonkeyPatch, terminal: bool, level: str = "INFO") -> str:
    stream = Stream(terminal)
    monkeypatch.setattr("sys.stderr", stream)
    with restored():
        logs.configure(level)
        structlog.get_logger("ours").info("batch done", events=3)
        logging.getLogger("theirs").warning("look %s", "here")
        logging.getLogger("aiokafka").info("heartbeat")
        password = "".join(("hun", "ter2"))  # in no line of this file that a traceback shows
        try:
            assert password
            raise ValueError("what went wrong")
        except ValueError:
            structlog.get_logger("ours").exception("failed")
    return stream.getvalue()


def test_json_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.loads(line) for line in written(monkeypatch, terminal=False).splitlines()]
    assert [line["event"] for line in lines] == ["batch done", "look here", "failed"]
    assert lines[0]["events"] == 3
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "what went wrong" in lines[2]["exception"]


def test_readable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(monkeypatch, terminal=True)
    assert "batch done" in text
    assert "look here" in text
    assert "what went wrong" in text
    assert not text.startswith("{")
    assert "hunter2" not in text, "a traceback shows variables"


def test_the_level_holds_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(monkeypatch, terminal=False, level="ERROR")
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["failed"]
