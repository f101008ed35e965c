"""The report on a terminal of 80 columns, on one without symbols, and as JSON."""

import io
import json
from datetime import UTC, datetime

from rich.console import Console

from infra.doctor import show
from infra.doctor.finding import Report, hint, ok, problem, skipped

REPORT = Report(
    (
        ok("Kafka", "127.0.0.1:9092 answers [in brackets] " + "and tells much of itself " * 5),
        problem("sinks", "inference-events: 7 records behind and not moving", "why so", "do this"),
        hint("sinks", "one more", "because", "that"),
        skipped("tables", "not asked: ClickHouse has problems"),
    )
)


def printed(encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    console = Console(file=out, width=80)
    console.print(show.as_table(REPORT, console))
    console.print(show.summary(REPORT))
    out.flush()
    return raw.getvalue().decode(encoding)


def test_eighty_columns_hold_it_and_nothing_is_cut() -> None:
    text = printed()
    assert max(map(len, text.splitlines())) <= 80
    joined = " ".join(text.split())
    for finding in REPORT.findings:
        assert " ".join(finding.what.split()) in joined
    assert "why: why so" in text
    assert "do: do this" in joined
    assert "not healthy 1 problem, 1 hint, 1 fine, 1 not asked" in joined


def test_words_where_the_terminal_has_no_symbols() -> None:
    assert "✗" in printed()
    text = printed("ascii")
    assert "?" not in text
    assert "PROBLEM" in text


def test_json_for_programs() -> None:
    told = json.loads(show.as_json(REPORT, datetime(2026, 1, 2, tzinfo=UTC)))
    assert told["healthy"] is False
    assert told["checked_at"] == "2026-01-02T00:00:00+00:00"
    assert told["findings"][1] == {
        "subject": "sinks",
        "level": "problem",
        "what": "inference-events: 7 records behind and not moving",
        "why": "why so",
        "do": "do this",
    }
