"""The optional schema registry: ids are its own, and its absence is never the message's fault."""

import json
from collections.abc import Iterator

import pytest

from schemas import registry_catalog
from schemas.catalog import committed
from schemas.errors import IncompatibleSchema, RegistryUnavailable
from schemas.reasons import Reason
from schemas.registry_catalog import RegistryCatalog
from schemas.wire import Codec
from streams.decode import decode
from tests.support.events import batch, inference
from tests.support.schema_registry import FakeRegistry, schema_registry

pytestmark = pytest.mark.integration
SUBJECT = "p-inference-events-value"
SOURCE = dict(committed().newest("InferenceEvent").source)

UNREADABLE = {
    **SOURCE,
    "fields": [
        {**f, "type": "string"} if f["name"] == "latency_ms" else f for f in SOURCE["fields"]
    ],
}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with schema_registry() as found:
        yield found


@pytest.fixture
def catalog(registry: FakeRegistry) -> RegistryCatalog:
    return RegistryCatalog(registry.url + "/", committed(), "p-")


def test_our_schema_is_registered_once_under_the_topic_s_subject(
    registry: FakeRegistry, catalog: RegistryCatalog
) -> None:
    first = catalog.newest("InferenceEvent")
    again = RegistryCatalog(registry.url, committed(), "p-").newest("InferenceEvent")

    assert first.schema_id == again.schema_id == 100
    assert list(registry.subjects) == [SUBJECT]
    assert catalog.newest("InferenceEvent") is first
    assert registry.asked[f"POST /subjects/{SUBJECT}/versions"] == 2


def test_messages_travel_under_the_registry_s_ids(catalog: RegistryCatalog) -> None:
    catalog.newest("FeedbackEvent")
    payload = Codec(catalog).encode("InferenceEvent", inference())

    assert payload[:5] == b"\x00\x00\x00\x00\x65"
    assert Codec(catalog).decode(payload, "InferenceEvent")["event_id"] == "e-1"


def test_a_writer_of_another_process_is_looked_up_once(
    registry: FakeRegistry, catalog: RegistryCatalog
) -> None:
    registry.register("other-value", json.dumps({**SOURCE, "doc": "another writer's copy"}))

    found = [catalog.by_id(100) for _ in range(5)]

    assert {f.record for f in found if f is not None} == {"InferenceEvent"}
    assert registry.asked["GET /schemas/ids/100"] == 1


def test_a_full_name_is_the_record_s_name(registry: FakeRegistry, catalog: RegistryCatalog) -> None:
    source = {k: v for k, v in SOURCE.items() if k != "namespace"}
    registry.register("x", json.dumps({**source, "name": "rheostat.InferenceEvent"}))

    found = catalog.by_id(100)

    assert found is not None
    assert found.record == "InferenceEvent"


def test_an_unknown_id_is_asked_for_now_and_then(
    registry: FakeRegistry, catalog: RegistryCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of one made-up id is one question; an id registered later is found."""
    assert [catalog.by_id(100) for _ in range(50)] == [None] * 50
    assert registry.asked["GET /schemas/ids/100"] == 1

    registry.register("late", json.dumps(SOURCE))
    monkeypatch.setattr(registry_catalog, "UNKNOWN_S", 0.0)
    catalog._unknown_until_s.clear()
    assert catalog.by_id(100) is not None


@pytest.mark.parametrize("foreign", ['"string"', '{"type": "object"}', "syntax = 'proto3';", "[]"])
def test_what_is_no_avro_record_is_as_good_as_unknown(
    registry: FakeRegistry, catalog: RegistryCatalog, foreign: str
) -> None:
    registry.register("json-value", foreign, kind="JSON")

    assert catalog.by_id(100) is None
    decoded = decode(batch([b"\x00\x00\x00\x00\x64abc"]), "InferenceEvent", catalog)
    assert [r.reason for r in decoded.rejects] == [Reason.UNKNOWN_SCHEMA]


def test_a_known_schema_that_ours_cannot_read_is_its_record_s_fault(
    registry: FakeRegistry, catalog: RegistryCatalog
) -> None:
    registry.register("foreign-value", json.dumps(UNREADABLE))
    good = Codec(catalog).encode("InferenceEvent", inference())

    decoded = decode(batch([good, b"\x00\x00\x00\x00\x64abc", good]), "InferenceEvent", catalog)

    assert [(r.row, r.reason) for r in decoded.rejects] == [(1, Reason.INCOMPATIBLE_SCHEMA)]
    assert "latency_ms" not in decoded.rejects[0].text or "double" in decoded.rejects[0].text
    assert [len(r) for r in decoded.records] == [2]


def test_a_refusal_of_our_schema_is_no_outage(
    registry: FakeRegistry, catalog: RegistryCatalog
) -> None:
    registry.register(SUBJECT, json.dumps(UNREADABLE))

    with pytest.raises(IncompatibleSchema, match="incompatible with an earlier"):
        catalog.newest("InferenceEvent")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503])
def test_a_registry_in_trouble_is_asked_again(
    registry: FakeRegistry, catalog: RegistryCatalog, status: int
) -> None:
    registry.fault = status
    with pytest.raises(RegistryUnavailable, match=str(status)):
        catalog.by_id(100)
    with pytest.raises(RegistryUnavailable, match=str(status)):
        catalog.newest("InferenceEvent")

    registry.fault = None
    assert catalog.newest("InferenceEvent").schema_id == 100
    assert catalog.by_id(100) is not None


def test_a_404_of_something_else_files_nothing(registry: FakeRegistry) -> None:
    """A wrong path or a proxy: taking its 404 for "no such id" would reject every event."""
    catalog = RegistryCatalog(registry.url + "/wrong", committed())
    with pytest.raises(RegistryUnavailable):
        catalog.by_id(100)
    registry.raw = b"<html>It works!</html>"
    with pytest.raises(RegistryUnavailable, match="RHEOSTAT_SCHEMA_REGISTRY_URL"):
        RegistryCatalog(registry.url, committed()).by_id(100)


def test_a_slow_registry_is_waited_for_and_a_silent_one_is_not(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_catalog, "TIMEOUT_S", 0.5)
    catalog = RegistryCatalog(registry.url, committed())
    registry.slow_s = 0.05
    assert catalog.newest("InferenceEvent").schema_id == 100

    registry.slow_s = 1.0
    with pytest.raises(RegistryUnavailable):
        catalog.newest("Alert")


def test_nobody_listens() -> None:
    from tests.support.servers import free_port

    catalog = RegistryCatalog(f"http://127.0.0.1:{free_port()}", committed())
    with pytest.raises(RegistryUnavailable, match="did not answer"):
        catalog.by_id(1)
