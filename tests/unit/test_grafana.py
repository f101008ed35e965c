"""Dashboards as files: what is committed is what the code gives, and what it names exists."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.grafana.query import CLICKHOUSE_PLUGIN, CLICKHOUSE_UID, PROMETHEUS_UID
from infra.grafana.render import DASHBOARDS, REFERENCE, files, pages, reference, write
from tests.support.grafana import ALL, View, expand, panels, queries
from tests.support.promql import faults

ROOT = Path(__file__).parents[2]
DASHBOARD_FILES = {name: json.loads(text) for name, text in files().items()}


@pytest.mark.parametrize("name", DASHBOARD_FILES)
def test_committed_dashboards_are_what_the_code_gives(name: str) -> None:
    assert (ROOT / DASHBOARDS / name).read_text() == files()[name], "run: python -m infra.grafana"


def test_no_other_dashboard_lies_around() -> None:
    assert {p.name for p in (ROOT / DASHBOARDS).iterdir()} == set(files())


def test_the_reference_page_is_what_the_code_gives() -> None:
    assert (ROOT / REFERENCE).read_text() == reference(), "run: python -m infra.grafana"


def test_write_writes_everything(tmp_path: Path) -> None:
    written = write(tmp_path)
    assert {p.relative_to(tmp_path) for p in written} == {
        *(DASHBOARDS / name for name in files()),
        REFERENCE,
    }
    assert all(p.read_text() for p in written)


@pytest.mark.parametrize("name", DASHBOARD_FILES)
def test_panels_explain_themselves(name: str) -> None:
    found = list(panels(DASHBOARD_FILES[name]))
    assert len({p["title"] for p in found}) == len(found), "titles repeat"
    assert len({p["id"] for p in DASHBOARD_FILES[name]["panels"]}) == len(
        DASHBOARD_FILES[name]["panels"]
    )
    for panel in found:
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data", panel["title"]
        assert panel["targets"], panel["title"]
        if panel["type"] in {"stat", "timeseries"}:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


@pytest.mark.parametrize("name", DASHBOARD_FILES)
def test_panels_stand_side_by_side(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD_FILES[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", DASHBOARD_FILES)
def test_variables_that_queries_use_exist(name: str) -> None:
    dashboard = DASHBOARD_FILES[name]
    defined = [v["name"] for v in dashboard["templating"]["list"]]
    for position, variable in enumerate(dashboard["templating"]["list"]):
        assert variable["description"], variable["name"]
        if variable["type"] == "query":
            used = set(re.findall(r"\$\{?(?!__)(\w+)", variable["query"]["rawSql"]))
            assert used <= set(defined[:position]), variable["name"]
    for panel, text in queries(dashboard, "rawSql"):
        assert set(re.findall(r"\$\{?(?!__)(\w+)", text)) <= set(defined), panel["title"]
    assert {"clickhouse", "prometheus"} & set(defined)


@pytest.mark.parametrize("name", DASHBOARD_FILES)
def test_prometheus_panels_name_what_is_exported(name: str) -> None:
    for panel in panels(DASHBOARD_FILES[name]):
        for target in panel["targets"]:
            if "expr" in target:
                found = list(faults(target["expr"], target["legendFormat"]))
                assert not found, (panel["title"], found)


def test_a_wrong_name_or_label_would_be_found() -> None:
    assert list(faults("rate(rheostat_evnts_total[1m])"))
    assert list(faults("sum by (topci) (rate(rheostat_events_total[1m]))"))
    assert list(faults('rheostat_lag_records{lan="streams"}'))
    assert list(faults("rheostat_lag_records", "{{table}}"))


def links(value: Any) -> Iterator[str]:
    """Every URL in a dashboard."""
    if isinstance(value, dict):
        if isinstance(value.get("url"), str) and value["url"]:
            yield value["url"]
        for inner in value.values():
            yield from links(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from links(inner)


def test_links_lead_to_dashboards_and_their_variables() -> None:
    variables = {
        p.uid: {v["name"] for v in DASHBOARD_FILES[p.file]["templating"]["list"]} for p in pages()
    }
    found = [url for dashboard in DASHBOARD_FILES.values() for url in links(dashboard)]
    assert found
    for url in found:
        path, _, query = url.partition("?")
        uid = path.removeprefix("/d/")
        assert uid in variables, url
        given = re.findall(r"var-(\w+)=", query) + re.findall(r"\$\{(\w+):queryparam\}", query)
        assert set(given) <= variables[uid], url


def test_dashboards_link_to_each_other() -> None:
    for dashboard in DASHBOARD_FILES.values():
        assert dashboard["tags"] == ["rheostat"]
        (link,) = dashboard["links"]
        assert (link["type"], link["tags"]) == ("dashboards", ["rheostat"])
        assert link["includeVars"]
        assert link["keepTime"]


def test_provisioned_sources_are_the_ones_that_dashboards_choose() -> None:
    folder = ROOT / "infra/grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/rheostat.yml").read_text())["datasources"]
    assert {s["uid"]: s["type"] for s in sources} == {
        CLICKHOUSE_UID: CLICKHOUSE_PLUGIN,
        PROMETHEUS_UID: "prometheus",
    }
    providers = yaml.safe_load((folder / "dashboards/rheostat.yml").read_text())["providers"]
    assert providers[0]["options"]["path"]


def test_expansion_refuses_what_it_does_not_know() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    view = View(at, at, 10, {"model": [ALL], "org": "a'b"}, {"model": ["m1", "m2"]})
    known = "$__conditionalAll(f(x) IN (${model:singlequote}), $model) AND o = ${org:singlequote}"
    assert expand(known, view) == "1=1 AND o = 'a\\'b'"
    assert expand("${model:singlequote}", view) == "'m1','m2'"
    with pytest.raises(ValueError, match="not expanded"):
        expand("$__timeGroup(t, 5m)", view)
    with pytest.raises(ValueError, match="two arguments"):
        expand("$__conditionalAll(x)", view)
