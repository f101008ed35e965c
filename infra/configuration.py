"""Reads the settings, says what is wrong with them, and tells where each value came from."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from infra.errors import OperatorError
from infra.settings import CONFIG_VARIABLE, PREFIX, Settings, config_path

OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, f"{PREFIX}SUPERVISOR_PID"})
"""Variables with our prefix that are no settings."""
SECRETS = frozenset(
    {
        "kafka_properties",
        "clickhouse_url",
        "schema_registry_url",
        "clickhouse_local_password",
    }
)

Source = Literal["command line", "environment", "file", "running stack", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting in effect. `shown` hides secrets; `place` is the option, variable or file."""

    name: str
    shown: str
    source: Source
    place: str


def read(**options: object) -> Settings:
    """Settings with the command line's options over them; None: not given. Raises OperatorError."""
    given = {name: value for name, value in options.items() if value is not None}
    file = _file()
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        lines = [_explained(e, given, file) for e in error.errors(include_url=False)]
        raise OperatorError(
            "The settings are not usable:\n  " + "\n  ".join(lines) + "\n"
            "All settings with their units: docs/reference/settings.md"
        ) from None  # the cause holds the values, secrets too
    except SettingsError:
        raise OperatorError(
            "RHEOSTAT_KAFKA_PROPERTIES is not a JSON object; write it like "
            '{"security.protocol": "SASL_SSL", "sasl.username": "me"}.'
        ) from None


def origins(settings: Settings) -> list[Origin]:
    """Every setting with its source, in the order in which they are declared."""
    file = _file()
    return [_origin(settings, name, file) for name in Settings.model_fields]


def unknown_variables(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Variables with our prefix that nothing reads, each with the name that was meant, perhaps.

    What Kubernetes sets for a service of that name is left out.
    """
    environment = os.environ if environment is None else environment
    known = {_variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    for name in sorted(environment):
        injected = "_SERVICE_" in name or ("://" in environment[name] and "_PORT" in name)
        if name.startswith(PREFIX) and name not in known and not injected:
            yield f"{name} is no setting{_meant(name, known)}"


def hidden(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    netloc = f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=netloc).geturl()


def _file() -> dict[str, Any]:
    """The TOML file's content, {} when there is none. Raises OperatorError."""
    path = config_path()
    named = bool(os.environ.get(CONFIG_VARIABLE))
    if not named and not path.exists():
        return {}
    how = f"correct {CONFIG_VARIABLE}" if named else "move it away if it is not ours"
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} is not valid TOML: {error}. Correct it, or {how}.") from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}; {how}.") from error


def _origin(settings: Settings, name: str, file: Mapping[str, Any]) -> Origin:
    value = getattr(settings, name)
    shown = _shown(name, value)
    if name in settings.model_fields_set and value not in _elsewhere(name, file):
        return Origin(name, shown, "command line", _option(name))
    if os.environ.get(_variable(name)):
        return Origin(name, shown, "environment", _variable(name))
    if name in file:
        return Origin(name, shown, "file", str(config_path()))
    if name in {"kafka_bootstrap", "clickhouse_url"} and (found := settings.running(name)):
        return Origin(name, hidden(found), "running stack", str(settings.run_dir))
    return Origin(name, shown, "default", "")


def _elsewhere(name: str, file: Mapping[str, Any]) -> list[Any]:
    """What the environment and the file would give."""
    beneath = Settings()
    return [getattr(beneath, name)] if os.environ.get(_variable(name)) or name in file else []


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, SecretStr):
        return hidden(value.get_secret_value()) if name.endswith("_url") else "***"
    if isinstance(value, dict):
        return ", ".join(f"{key}=***" for key in value) or "none"
    return str(value) or "''"


def _explained(error: ErrorDetails, given: Mapping[str, object], file: Mapping[str, Any]) -> str:
    """One line: where the value stands, what it is unless secret, and what it must be."""
    name = str(error["loc"][0])
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{config_path()}: {name} is no setting{_meant(name, set(Settings.model_fields))}"
    place = _variable(name)
    if name in given:
        place = _option(name)
    elif name in file and not os.environ.get(_variable(name)):
        place = f"{name} in {config_path()}"
    value = "" if name in SECRETS else f" is {error['input']!r}"[:100]
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}{value}: {message[:1].lower()}{message[1:]}. {field.description}"


def _meant(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.75)
    return f"; did you mean {close[0]}?" if close else "; see docs/reference/settings.md"


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
