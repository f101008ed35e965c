"""`rheostat registry apply`: from a file on disk to facts on the registry topic."""

from collections.abc import Callable
from pathlib import Path

from agents.registry_apply import Applied, apply
from agents.registry_file import parse
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
    _require_topic(settings, kafka.topic(Topic.REGISTRY))
    with RegistryView(kafka, codec) as view:
        known = view.wait_loaded(TIMEOUT_S).models.values()
    models = {(m.org_id, m.model_id) for f in known if isinstance(m := f.entity, Model)}
    file = parse(text, str(path), models)
    for warning in file.warnings:
        warn(str(warning))
    return apply(file.entities, kafka, codec, author)


def _require_topic(settings: Settings, name: str) -> None:
    """Says at once what waiting for the view would only tell later."""
    _, metadata = connect(settings)
    if name not in metadata.topics:
        raise OperatorError(
            f"The topic {name} does not exist on the Kafka at {settings.bootstrap}, so there is no "
            "registry to apply to. Run rheostat topics, or correct RHEOSTAT_TOPIC_PREFIX."
        )
