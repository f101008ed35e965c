"""The log files of children: what they said last, and how large they get."""

from pathlib import Path

import pytest

from infra import child_log


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ('{"event": "fetching jars", "level": "info"}\n', "fetching jars"),
        ('{"level": "info"}\n', '{"level": "info"}'),
        ("[1]\n", "[1]"),
        ("x" * 5000, "x" * 500),
    ],
)
def test_last_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.log"
    path.write_text(text)
    assert child_log.last_words(path) == words
    assert child_log.last_words(tmp_path / "none.log") == ""


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_log, "BYTES_MAX", 5)
    path = tmp_path / "a.log"
    for text in (b"first", b"+", b"second"):
        with child_log.opened(path) as out:
            out.write(text)
    assert path.read_bytes() == b"second"
    assert (tmp_path / "a.log.1").read_bytes() == b"first+"
