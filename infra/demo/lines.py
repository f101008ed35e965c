"""The same run as plain lines, for logs and pipes: what changed since the last time. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.demo.bars import quantity
from infra.demo.feed import Change
from infra.demo.state import Picture

EVERY_S = 5.0


@dataclass(slots=True)
class Lines:
    """Remembers what was said."""

    _said_at_s: float = float("-inf")
    _last_change: Change | None = None
    _status: str = ""
    _seen: set[str] = field(default_factory=set)

    def since(self, picture: Picture) -> Iterator[str]:
        """The lines that are new with this picture: progress, take-overs, the test's decisions."""
        yield from self._selections(picture)
        yield from self._test(picture)
        if picture.elapsed_s - self._said_at_s >= EVERY_S:
            self._said_at_s = picture.elapsed_s
            yield _progress(picture)

    def _selections(self, picture: Picture) -> Iterator[str]:
        for change in picture.news.changes:
            name = f"{change.capability} {change.issued_at} {change.leader_id}"
            if change.takes_over and name not in self._seen:
                self._seen.add(name)
                yield f"selection {change.capability}: {change.leader_id} leads; {change.why}"

    def _test(self, picture: Picture) -> Iterator[str]:
        verdict = picture.verdict
        if verdict is None or verdict.status == self._status:
            return
        self._status = verdict.status
        said = f"; {verdict.decision}" if verdict.decision else ""
        yield f"A/B test {verdict.ab_test_id}: {verdict.status}{said}"


def _progress(picture: Picture) -> str:
    flow = picture.flow
    parts = [
        f"{picture.elapsed_s:4.0f} s {picture.share_done:4.0%}",
        f"sent {flow.sent + flow.malformed:,} ({flow.sent_per_s:,.0f}/s)",
        f"counted {flow.counted:,}",
        f"stored {flow.stored:,}",
        f"dead letters {sum(count for _, count in picture.dead_letters)}",
    ]
    primary = next((c for c in picture.verdict.comparisons), None) if picture.verdict else None
    if primary is not None and primary.difference is not None:
        lower, upper = primary.anytime_lower, primary.anytime_upper
        shown = quantity(primary.metric, primary.difference, sign=True)
        parts.append(
            f"{primary.metric} {shown} [{quantity(primary.metric, lower)}, "
            f"{quantity(primary.metric, upper)}]"
        )
    if picture.fault is not None:
        parts.append(picture.fault)
    return "  ".join(parts)
