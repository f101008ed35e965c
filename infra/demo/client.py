"""The demo as a user of Rheostat: its registry through the REST API, its calls by the client."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from typing import Any

from infra.errors import OperatorError
from infra.keys import KeyOptions, create
from infra.settings import Settings
from rheostat_client import Config, InferenceEvent

IMPORT = "/api/v1/evaluation/registry/import/"
TIMEOUT_S = 60.0
KEY_FOR = "1d"


def config(settings: Settings, org_id: str) -> Config:
    """The client's configuration for the stack of these settings."""
    registry = settings.schema_registry_url
    return Config(
        org_id=org_id,
        kafka_bootstrap=settings.bootstrap,
        kafka_properties=dict(settings.kafka_properties),
        topic_prefix=settings.topic_prefix,
        schema_registry_url=None if registry is None else registry.get_secret_value(),
        retention_days=settings.retention_days,
    )


def reported(event: dict[str, Any]) -> InferenceEvent:
    """A call as it is handed to the Reporter, which knows the organisation."""
    plain = {name: value for name, value in event.items() if name != "org_id"}
    at = datetime.fromtimestamp(plain.pop("occurred_at") / 1000, UTC)
    return InferenceEvent(occurred_at=at, **plain)


def post_registry(settings: Settings, file: Traversable, org_id: str) -> str:
    """Applies a registry file by a POST, with a key of a day that is made for it; what was done, in
    words. Raises OperatorError, AgentError, StreamError."""
    key = create(settings, KeyOptions(org_id, "admin", "rheostat demo", None, KEY_FOR))
    request = urllib.request.Request(
        f"{settings.api}{IMPORT}",
        data=file.read_bytes(),
        headers={"Authorization": f"Bearer {key.token}", "Content-Type": "application/yaml"},
        method="POST",
    )
    # The API is ours and near: a proxy of the environment is not for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            items = json.load(answer)["items"]
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")[:2000]
        raise OperatorError(f"the API does not take the demo's registry: {said}") from error
    except (urllib.error.URLError, OSError) as error:
        raise OperatorError(f"the API at {settings.api} does not answer: {error}") from error
    changed = sum(item["outcome"] != "unchanged" for item in items)
    return f"{len(items)} entities, {changed} of them new"
