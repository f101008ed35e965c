"""All dashboards, and what is generated from them: the JSON files and their reference page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.grafana import ab_tests, model_performance, pipeline_health, selection
from infra.grafana.page import Page

DASHBOARDS = Path("infra/grafana/dashboards")
REFERENCE = Path("docs/dashboards.md")


def pages() -> tuple[Page, ...]:
    """In the order in which a reader should look."""
    return (model_performance.page(), ab_tests.page(), selection.page(), pipeline_health.page())


def files() -> dict[str, str]:
    """File name to JSON, for Grafana's dashboard folder."""
    return {page.file: page.to_json() for page in pages()}


def write(folder: Path) -> list[Path]:
    """Writes the dashboards under a checkout's root, and docs/dashboards.md; what was written."""
    texts = {DASHBOARDS / name: text for name, text in files().items()}
    texts[REFERENCE] = reference()
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return [folder / path for path in texts]


def reference() -> str:
    """docs/dashboards.md: what every panel says, in the panel's own words."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield "# Dashboards"
    yield ""
    yield (
        "Generated from `infra/grafana/` by `python -m infra.grafana`; edit the panels there. How "
        "to run Grafana: [operations](operations.md#grafana)."
    )
    yield ""
    yield (
        "Everywhere: a gap or *no data* means that nothing was measured, which is never shown as "
        "zero. Times are event times unless a panel says otherwise. Ranges whose interval is an "
        "hour or more (about a month and longer) read the hourly roll-up. Counts and totals are "
        "exact; quantiles come from sketches and are within 1 % of the exact value."
    )
    for page in pages():
        dashboard = json.loads(page.to_json())
        yield f"\n## {page.title.removeprefix('Rheostat / ')}\n"
        yield f"{page.description} Address: `/d/{page.uid}`.\n"
        yield from _choices(dashboard)
        for panel in dashboard["panels"]:
            if panel["type"] == "row":
                yield f"\n### {panel['title']}\n"
            else:
                yield f"- **{panel['title']}.** {panel['description']}"


def _choices(dashboard: Mapping[str, Any]) -> Iterator[str]:
    listed = [v for v in dashboard["templating"]["list"] if v["type"] != "datasource"]
    if listed:
        yield "Choices: " + " ".join(f"**{v['label']}**: {v['description']}" for v in listed)
