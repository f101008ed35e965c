"""From messages to shelves and to disk: replay, tombstones, damage."""

import json
from pathlib import Path
from typing import Any

import pytest

from rheostat_client import wire
from rheostat_client.errors import MalformedMessage, SnapshotRejected
from rheostat_client.selections import Update, parse, to_json
from rheostat_client.snapshot import EVERY_S, Snapshot, read, write
from rheostat_client.table import Table
from tests.support.selections import candidate, update, written


def table(snapshot: Snapshot | None = None) -> Table:
    return Table("acme", wire.packaged(), snapshot)


def served(found: Table) -> dict[str, tuple[str, bool]]:
    """capability -> (selection_id, confirmed)."""
    return {name: (s.update.selection_id, s.confirmed) for name, s in found.shelves.items()}


def save(path: Path, *updates: Update) -> None:
    write(path, "acme", [json.dumps(to_json(u)) for u in updates])


def test_a_replay_serves_nothing_half_read() -> None:
    found = table()
    found.apply("acme/chat", written(update({"a": 1.0}, selection_id="old")))
    found.apply("acme/chat", None)
    assert served(found) == {}
    found.apply("acme/chat", written(update({"a": 1.0}, selection_id="new")))
    found.apply("acme/code", written(update({"a": 1.0}, capability="code")))
    found.apply("acme/code", None)
    found.loaded()
    assert served(found) == {"chat": ("new", True)}
    found.apply("acme/chat", None)
    assert served(found) == {}


def test_other_organisations_are_not_even_decoded() -> None:
    found = table()
    found.apply("other/chat", b"rubbish")
    found.apply("acme2/chat", b"rubbish")
    with pytest.raises(MalformedMessage):
        found.apply("acme/chat", b"rubbish")
    with pytest.raises(MalformedMessage):
        found.apply("acme/code", written(update({"a": 1.0})))
    with pytest.raises(MalformedMessage):
        found.apply("acme/chat", written(update({"a": 1.0}, org_id="other")))


def test_an_update_survives_the_wire_and_the_disk() -> None:
    full = candidate("a", 0.7, quality=0.5, error_rate=0.0, latency_p95_ms=1.5, reasons=("x", "y"))
    sent = update({}, candidates=(full, candidate("b", 0.3, 2)))
    assert parse(wire.decode(written(sent), "SelectionUpdate", wire.packaged())) == sent
    assert parse(json.loads(json.dumps(to_json(sent)))) == sent


@pytest.mark.parametrize(
    "change",
    [
        {"selection_id": ""},
        {"candidates": None},
        {"expires_at": "soon"},
        {"candidates": [{"model_id": "a"}]},
    ],
)
def test_a_record_that_breaks_its_contract_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse({**to_json(update({"a": 1.0})), **change})


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "much"])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    record = to_json(update({"a": 1.0}))
    record["candidates"][0]["weight"] = weight
    with pytest.raises(MalformedMessage):
        parse(record)


def test_a_candidate_named_twice_is_refused() -> None:
    twice = (candidate("a", 0.5), candidate("a", 0.5, 2))
    with pytest.raises(MalformedMessage, match="twice"):
        parse(to_json(update({}, candidates=twice)))


def test_the_disk_serves_until_kafka_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "s"
    kept, gone, ahead, silent = (
        update({"a": 1.0}, capability=name, selection_id="disk")
        for name in ("kept", "gone", "ahead", "silent")
    )
    save(path, kept, gone, ahead, silent)
    found = table(Snapshot(path))
    assert served(found) == dict.fromkeys(("kept", "gone", "ahead", "silent"), ("disk", False))
    found.apply("acme/kept", written(kept._replace(selection_id="kafka")))
    found.apply("acme/gone", written(gone))
    found.apply("acme/gone", None)
    older = ahead._replace(selection_id="kafka", issued_at_ms=ahead.issued_at_ms - 1)
    found.apply("acme/ahead", written(older))
    assert served(found)["kept"] == ("disk", False)
    found.loaded()
    assert served(found) == {
        "kept": ("kafka", True),
        "ahead": ("disk", False),
        "silent": ("disk", False),
    }
    assert {u.capability: u.selection_id for u in read(path, "acme")} == {
        "kept": "kafka",
        "ahead": "disk",
        "silent": "disk",
    }


def test_the_end_saves_what_changed_since(tmp_path: Path) -> None:
    path = tmp_path / "s"
    found = table(Snapshot(path))
    found.loaded()
    for name in ("1", "2", "3"):
        found.apply("acme/chat", written(update({"a": 1.0}, selection_id=name)))
    found.ended()
    assert [u.selection_id for u in read(path, "acme")] == ["3"]


def test_reading_again_keeps_serving() -> None:
    found = table()
    found.loaded()
    found.apply("acme/chat", written(update({"a": 1.0}, selection_id="one")))
    found.restart()
    found.apply("acme/chat", written(update({"a": 1.0}, selection_id="two")))
    assert served(found) == {"chat": ("one", True)}
    found.loaded()
    assert served(found) == {"chat": ("two", True)}


def test_writes_are_spaced_out(tmp_path: Path) -> None:
    path = tmp_path / "s"
    snapshot = Snapshot(path)
    first, second = (update({"a": 1.0}, selection_id=name) for name in ("1", "2"))
    snapshot.save_if_due([first], 100.0)
    assert not path.exists()
    for now_s, found, expected in (
        (100.0, first, "1"),
        (100.0 + EVERY_S / 2, second, "1"),
        (100.0 + EVERY_S, second, "2"),
    ):
        snapshot.changed("chat")
        snapshot.save_if_due([found], now_s)
        assert [u.selection_id for u in read(path, "acme")] == [expected]


def damage_cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def damage_flip(data: bytes) -> bytes:
    return data.replace(b'"weight":', b'"weighT":').replace(b'"weight": ', b'"weighT": ')


def damage_footer(data: bytes) -> bytes:
    return b"\n".join(data.split(b"\n")[:-2]) + b"\n"


@pytest.mark.parametrize(
    "damage", [damage_cut, damage_flip, damage_footer, lambda _: b"", lambda _: b"{}\n[]\n"]
)
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "s"
    save(path, update({"a": 1.0}))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotRejected):
        read(path, "acme")
    assert served(table(Snapshot(path))) == {}


def test_a_file_of_others_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "s"
    save(path, update({"a": 1.0}, org_id="other"))
    with pytest.raises(SnapshotRejected, match="another organisation"):
        read(path, "acme")
    save(path, update({"a": 1.0}))
    lines = path.read_text().replace("rheostat-selections-1", "rheostat-selections-9")
    path.write_text(lines)
    with pytest.raises(SnapshotRejected):
        read(path, "acme")


def test_a_disk_that_cannot_be_written_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    found = table(Snapshot(tmp_path / "file" / "s"))
    found.apply("acme/chat", written(update({"a": 1.0})))
    found.loaded()
    assert served(found) == {"chat": ("sel-1", True)}
    assert "is not written" in caplog.text
