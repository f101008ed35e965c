"""The A/B tests of one organisation, as the registry has them."""

from collections.abc import Mapping
from typing import Any

from rheostat_client import rules
from rheostat_client.assign import Arm, Assignment, NotAssigned, assign
from rheostat_client.errors import MalformedMessage
from rheostat_client.wire import Schemas, decode

RUNNING = "running"
OFFLINE = "offline"
ACTIVE = "active"


class AbTests:
    """Listens to `registry`: arms of tests, and which version of a model is active."""

    def __init__(self, org_id: str, schemas: Schemas) -> None:
        self._org_id = org_id
        self._schemas = schemas
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._versions: dict[str, set[str]] = {}

    def apply(self, key: str, value: bytes | None) -> None:
        if not key.startswith(f"{self._org_id}/"):
            return
        entity = None
        if value is not None:
            fact = decode(value, "RegistryFact", self._schemas)
            entity = fact["entity"]
            if not isinstance(entity, dict) or entity.get("org_id") != self._org_id:
                raise MalformedMessage("a fact that is not of its key's organisation")
            if fact.get("deleted"):
                entity = None
        self._forget(key)
        if entity is not None:
            self._remember(key, entity)

    def loaded(self) -> None:
        """Facts are served as they come: a test that is not known yet is not assigned."""

    def idle(self) -> None:
        """Nothing is kept on disk."""

    def ended(self) -> None:
        """Nothing is kept on disk."""

    def assign(self, ab_test_id: str, unit_id: str) -> Assignment | NotAssigned:
        """The unit's arm of a running test, with the model that the registry names for it.

        Raises InvalidValue.
        """
        rules.text("ab_test_id", ab_test_id)
        rules.text("unit_id", unit_id)
        fact = self._facts.get(f"{self._org_id}/ab_test/{ab_test_id}")
        if fact is None:
            return NotAssigned(ab_test_id, "the registry has no such test")
        if fact["status"] != RUNNING:
            return NotAssigned(ab_test_id, f"the test is {fact['status']}")
        if fact.get("mode") == OFFLINE:
            return NotAssigned(ab_test_id, "the test is offline: it has no traffic")
        arms = [
            Arm(
                a["arm"],
                a["weight"],
                a["model_id"],
                a.get("model_version") or self._version(a["model_id"]),
            )
            for a in fact["arms"]
        ]
        return assign(ab_test_id, unit_id, arms, fact["capability"])

    def _version(self, model_id: str) -> str | None:
        """The model's only active version; None when the registry leaves it open."""
        versions = self._versions.get(model_id, set())
        return next(iter(versions)) if len(versions) == 1 else None

    def _remember(self, key: str, entity: Mapping[str, Any]) -> None:
        kind = key.split("/", 2)[1]
        if kind == "ab_test":
            self._facts[key] = entity
        elif kind == "model" and entity["status"] == ACTIVE:
            model, version = entity["model_id"], entity["model_version"]
            self._facts[key] = entity
            self._versions[model] = self._versions.get(model, set()) | {version}

    def _forget(self, key: str) -> None:
        gone = self._facts.pop(key, None)
        if gone is not None and "provider" in gone:
            model = gone["model_id"]
            self._versions[model] = self._versions[model] - {gone["model_version"]}
