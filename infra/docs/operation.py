"""Pages for whoever runs the processes: settings, metrics, errors."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from pydantic.fields import FieldInfo

from infra.configuration import OTHER_VARIABLES
from infra.docs.markdown import block, code, page, table
from infra.settings import PREFIX, Settings
from streams import telemetry

SETTINGS = """
Where a setting comes from, first found first: the command line, the environment, the TOML file that
`RHEOSTAT_CONFIG` names (else `rheostat.toml` in the working directory; keys are the names below in
lower case, without the prefix), the addresses of a stack that runs in the data dir, the default.
`rheostat doctor` shows what is in effect and why. Units are in the names: `_ms` milliseconds, `_s`
seconds, `_mb` 2^20 bytes, `_days` days. Passwords in URLs are written with %XX for special
characters; nothing prints them.
"""
METRICS = """
Every worker serves `/metrics` for Prometheus, `/healthz` (503 when a part of it has been silent
for a minute) and `/readyz` (503 until it does its work), on ports from `RHEOSTAT_METRICS_PORT` up.
Where they are: `run/targets.json` in the data dir, in the form of Prometheus's file_sd. Labels are
few and bounded: never an organisation, a model or a user's text.
"""
ERRORS = """
Each package raises errors of one tree. On the command line each is one message that says what
happened, why and what to do, and exit code 1; anything else is a bug and shows its traceback.
"""
LANES = ("streams", "sinks", "agents", "schemas", "infra")


def settings() -> str:
    """docs/reference/settings.md"""
    rows = [
        [code(f"{PREFIX}{name.upper()}"), _kind(field), _default(field), field.description or ""]
        for name, field in Settings.model_fields.items()
    ]
    others = ", ".join(code(name) for name in sorted(OTHER_VARIABLES) if name.endswith("CONFIG"))
    return page(
        "Settings",
        "infra/settings.py",
        SETTINGS,
        table(["variable", "type", "default", "meaning"], rows),
        f"Read beside them: {others}, the path of the TOML file.",
    )


def metrics() -> str:
    """docs/reference/metrics.md"""
    rows = []
    for metric in _metrics():
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(code(label) for label in metric._labelnames)
        rows.append([code(name), family.type, labels, family.documentation])
    return page(
        "Metrics",
        "streams/telemetry.py",
        METRICS,
        table(["name", "type", "labels", "meaning"], rows),
    )


def errors() -> str:
    """docs/reference/errors.md"""
    parts = []
    for lane in LANES:
        module = importlib.import_module(f"{lane}.errors")
        first, _, tree = (inspect.getdoc(module) or "").partition("\n\n")
        parts += [f"## {lane}", first, block(tree)]
    return page("Errors", "the docstrings of */errors.py", ERRORS, *parts)


def _metrics() -> Iterator[MetricWrapperBase]:
    return (value for value in vars(telemetry).values() if isinstance(value, MetricWrapperBase))


def _kind(field: FieldInfo) -> str:
    names = {"SecretStr": "secret", "str": "text", "int": "number", "Path": "path"}
    text = getattr(field.annotation, "__name__", str(field.annotation))
    for name, word in names.items():
        if name in text or name in str(field.annotation):
            limits = _limits(field)
            return f"{word} {limits}".strip() if "dict" not in text else "JSON object of texts"
    return text


def _limits(field: FieldInfo) -> str:
    low = next((m.ge for m in field.metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in field.metadata if hasattr(m, "le")), None)
    if low is None:
        return ""
    return f"{low:,} to {high:,}" if high is not None else f"from {low:,}"


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    return "not set" if value is None else code(str(value)) or "empty"
