"""The report for people, readable at 80 columns, and for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.doctor.finding import Finding, Level, Report

SYMBOLS: Mapping[Level, tuple[str, str, str]] = {
    Level.OK: ("✓", "ok", "green"),
    Level.HINT: ("•", "hint", "yellow"),
    Level.PROBLEM: ("✗", "PROBLEM", "bold red"),
    Level.SKIPPED: ("–", "skipped", "dim"),
}
"""Symbol, the word where the terminal has no such characters, colour."""


def as_json(report: Report, now: datetime | None = None) -> str:
    """`healthy`, `checked_at` and `findings` with subject, level, what, why, do."""
    return json.dumps(
        {
            "healthy": report.healthy,
            "checked_at": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
            "findings": [asdict(finding) for finding in report.findings],
        },
        indent=1,
        ensure_ascii=False,
    )


def as_table(report: Report, console: Console) -> Table:
    """One row a finding; under a hint or problem why it matters and what to do."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    before = ""
    for finding in report.findings:
        symbol, word, style = SYMBOLS[finding.level]
        mark = symbol if _writes(console, symbol) else word
        subject = finding.subject if finding.subject != before else ""
        before = finding.subject
        table.add_row(Text(mark, style), Text(subject, "bold"), _text(finding, style))
    return table


def summary(report: Report) -> Text:
    """The last line."""
    problems, hints = report.count(Level.PROBLEM), report.count(Level.HINT)
    counts = f"{problems} problem{'s' * (problems != 1)}, {hints} hint{'s' * (hints != 1)}, "
    counts += f"{report.count(Level.OK)} fine"
    if report.count(Level.SKIPPED):
        counts += f", {report.count(Level.SKIPPED)} not asked"
    if report.healthy:
        return Text.assemble(("healthy", "bold green"), f"  {counts}")
    return Text.assemble(("not healthy", "bold red"), f"  {counts}")


def _text(finding: Finding, style: str) -> Text:
    text = Text(finding.what, style if finding.level is Level.PROBLEM else "")
    if finding.why:
        text.append(f"\nwhy: {finding.why}", "dim")
    if finding.do:
        text.append(f"\ndo:  {finding.do}", "cyan")
    return text


def _writes(console: Console, symbol: str) -> bool:
    try:
        symbol.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
