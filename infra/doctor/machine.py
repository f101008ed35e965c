"""This machine and its settings: what is set where, disk space, clocks."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from infra.clickhouse_admin import ask, query
from infra.configuration import origins, unknown_variables
from infra.doctor.finding import Finding, Level, hint, ok, problem
from infra.doctor.offsets import newest_ms, places_of
from infra.errors import OperatorError
from infra.kafka_admin import connect
from infra.settings import Settings
from infra.stack import StackOptions, exposed
from schemas.reasons import MAX_AHEAD_MS
from schemas.topics import TOPICS, topic_name

CLOCKS = "clocks"
GIB = 1024**3
FULL_BYTES, TIGHT_BYTES, TIGHT_SHARE = GIB, 10 * GIB, 0.10
NOTABLE_S = 2.0
TOO_FAR_S = MAX_AHEAD_MS / 1000 / 2


def settings_in_effect(settings: Settings) -> Iterator[Finding]:
    """What is not a default, and where it comes from. Secrets are hidden."""
    own = [origin for origin in origins(settings) if origin.source != "default"]
    for origin in own:
        where = f"{origin.source} {origin.place}".strip()
        yield ok("settings", f"{origin.name} = {origin.shown}  ({where})")
    if not own:
        yield ok("settings", "all defaults")
    for text in unknown_variables():
        yield hint("settings", text, "it has no effect", "Correct its name, or unset it.")
    warning = exposed(settings, StackOptions())
    if warning is not None:
        what, _, do = warning.partition(". ")
        yield hint("settings", what, "anybody may change what is measured and decided", do)


def disk(settings: Settings) -> list[Finding]:
    """Room where the data dir is, and where ClickHouse keeps its parts."""
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    found = [_room("disk", str(folder), usage.free, usage.total)]
    try:
        rows = query(settings, "SELECT path, free_space, total_space FROM system.disks")
    except OperatorError:
        return found  # said by the check of ClickHouse
    for path, free, total in rows:
        if not Path(str(path)).is_relative_to(folder) and int(total):
            found.append(_room("disk", f"ClickHouse's {path}", int(free), int(total)))
    return found


def clickhouse_clock(settings: Settings) -> list[Finding]:
    """How far ClickHouse's clock is from ours."""
    answer = ask(settings)
    return _skew("ClickHouse", answer.ahead_s, answer.within_s)


def kafka_clock(settings: Settings) -> list[Finding]:
    """Whether Kafka's clock is ahead. No call tells its time, but records carry it: the newest one
    is older than now, so that only a clock ahead of ours can be seen."""
    client, metadata = connect(settings)
    names = [topic_name(topic, settings.topic_prefix) for topic in TOPICS]
    newest = newest_ms(client, places_of(metadata.topics, names))
    if newest is None:
        return [ok(CLOCKS, "Kafka: no record yet to see its clock by")]
    return _skew("Kafka", max(0.0, newest / 1000 - time.time()), 0.0)


def _room(subject: str, place: str, free: int, total: int) -> Finding:
    what = f"{place}: {free / GIB:.1f} of {total / GIB:.0f} GiB are free"
    why = "a full disk stops the broker and refuses inserts; nothing is lost, but all waits"
    do = "Free some, move the data dir (RHEOSTAT_DATA_DIR), or keep topics and rows for less long."
    if free < FULL_BYTES:
        return problem(subject, what, why, do)
    if free < TIGHT_BYTES and free < TIGHT_SHARE * total:
        return hint(subject, what, why, do)
    return ok(subject, what)


def _skew(server: str, ahead_s: float, within_s: float) -> list[Finding]:
    certain_s = abs(ahead_s) - within_s
    if certain_s < NOTABLE_S:
        return [ok(CLOCKS, f"{server}'s agrees with ours")]
    side = "ahead of" if ahead_s > 0 else "behind"
    level = Level.PROBLEM if certain_s > TOO_FAR_S else Level.HINT
    return [
        Finding(
            CLOCKS,
            level,
            f"{server}'s clock is {abs(ahead_s):.1f} s {side} ours",
            f"events more than {MAX_AHEAD_MS // 60_000} min ahead are rejected, and latencies are "
            "measured wrong",
            "Synchronise the clocks of all machines (chrony, systemd-timesyncd).",
        )
    ]
