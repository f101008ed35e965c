"""Whether the names in a Prometheus expression are those that the processes export."""

import re
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

from streams import telemetry

ALWAYS = {"job", "instance", "process"}
"""Labels that scraping adds: see infra/prometheus/prometheus.yml."""


def exported() -> dict[str, set[str]]:
    """Every series name that the processes export, with its own labels."""
    names: dict[str, set[str]] = {
        "up": set(),
        "process_resident_memory_bytes": set(),
        "process_cpu_seconds_total": set(),
    }
    for metric in vars(telemetry).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            labels = set(metric._labelnames)
            (described,) = metric.describe()
            if isinstance(metric, Histogram):
                names[f"{described.name}_bucket"] = labels | {"le"}
                names[f"{described.name}_sum"] = names[f"{described.name}_count"] = labels
            else:
                suffix = "_total" if isinstance(metric, Counter) else ""
                names[described.name + suffix] = labels
    return names


def faults(expr: str, legend: str = "") -> Iterator[str]:
    """What is wrong with the names in an expression."""
    names = exported()
    used = set(re.findall(r"\b(?:rheostat_\w+|process_\w+|up)\b", expr))
    if not used:
        yield "no metric"
    grouped = {x.strip() for by in re.findall(r"by \(([^)]*)\)", expr) for x in by.split(",")}
    matched = set(re.findall(r"(\w+)\s*=~?\s*\"", expr))
    labels = grouped | matched | set(re.findall(r"\{\{(\w+)\}\}", legend))
    for name in used:
        if name not in names:
            yield f"{name} is not exported"
        elif labels - ALWAYS - names[name]:
            yield f"{name} has no labels {labels - ALWAYS - names[name]}"
