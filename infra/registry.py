"""`rheostat registry apply` and `export`: between a file and the facts of the registry."""

import getpass
from collections.abc import Callable
from pathlib import Path

from agents.evaluation.suites.judge import judge_with
from agents.registry.apply import Applied, apply_with
from agents.registry.client import RegistryClient, Sender
from agents.registry.export import export, to_json, to_yaml
from agents.registry.file import parse
from infra.errors import OperatorError
from infra.kafka_admin import connect
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import Model
from schemas.topics import Topic
from schemas.wire import Codec
from streams.registry_view import RegistryView

TIMEOUT_S = 30.0


def apply_file(
    settings: Settings, path: Path, author: str | None, warn: Callable[[str], None]
) -> list[Applied]:
    """What became of every entity of the file. Raises OperatorError, AgentError, StreamError."""
    try:
        text = path.read_text()
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}. Name another.") from error
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    require_topic(settings, kafka.topic(Topic.REGISTRY))
    with RegistryView(kafka, codec) as view, RegistryClient(kafka, codec, view) as client:
        known = view.wait_loaded(TIMEOUT_S)
        models = {(m.org_id, m.model_id) for m in known.entities(Model)}
        file = parse(text, str(path), models, judge_with(known))
        for warning in file.warnings:
            warn(str(warning))
        sender = Sender(author or getpass.getuser())
        return apply_with(client, view, file.entities, codec, sender)


def export_text(settings: Settings, org_id: str | None, as_json: bool) -> str:
    """The registry as a file. Raises OperatorError when it has nothing of `org_id`; StreamError."""
    require_topic(settings, kafka_config(settings).topic(Topic.REGISTRY))
    with RegistryView(kafka_config(settings), Codec(catalog(settings))) as view:
        document = export(view.wait_loaded(TIMEOUT_S), org_id)
    if org_id is not None and not document:
        raise OperatorError(f"the registry holds nothing of an organisation named {org_id}.")
    return to_json(document) if as_json else to_yaml(document)


def require_topic(settings: Settings, name: str) -> None:
    """Says at once what waiting for the view would only tell later."""
    _, metadata = connect(settings)
    if name not in metadata.topics:
        raise OperatorError(
            f"The topic {name} does not exist on the Kafka at {settings.bootstrap}, so there is no "
            "registry. Run rheostat topics, or correct RHEOSTAT_TOPIC_PREFIX."
        )
