"""`rheostat registry apply`: from a file on disk to a command, and to the facts it makes."""

import getpass
from collections.abc import Callable
from pathlib import Path

from agents.registry.apply import Applied, apply_with
from agents.registry.client import RegistryClient, Sender
from agents.registry.file import parse
from infra.errors import OperatorError
from infra.settings import Settings
from infra.workers import catalog, kafka_config
from schemas.entities import Model
from schemas.wire import Codec
from streams.registry_view import RegistryView

TIMEOUT_S = 30.0


def apply_file(
    settings: Settings, path: Path, author: str | None, warn: Callable[[str], None]
) -> list[Applied]:
    """What became of every entity of the file. Raises OperatorError, AgentError, StreamError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} cannot be read: {error}") from error
    codec, kafka = Codec(catalog(settings)), kafka_config(settings)
    with RegistryView(kafka, codec) as view, RegistryClient(kafka, codec, view) as client:
        known = view.wait_loaded(TIMEOUT_S).models.values()
        models = {(m.org_id, m.model_id) for f in known if isinstance(m := f.entity, Model)}
        file = parse(text, str(path), models)
        for warning in file.warnings:
            warn(str(warning))
        sender = Sender(author or getpass.getuser())
        return apply_with(client, view, file.entities, codec, sender)
