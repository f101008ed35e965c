"""Every query of every dashboard on the real engine, over real migrations and rows."""

import json
import statistics
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.grafana.render import files
from sinks.clickhouse import ClickHouse
from sinks.migrate import TableOptions, apply
from tests.support.dashboard_data import Loaded, load
from tests.support.grafana import ALL, View, expand, queries
from tests.support.servers import ClickHouseServer

pytestmark = pytest.mark.integration
DASHBOARDS = {name: json.loads(text) for name, text in files().items()}
PANELS = [
    (name, panel["title"], text, panel)
    for name, dashboard in DASHBOARDS.items()
    for panel, text in queries(dashboard, "rawSql")
]
OF_AN_ORGANISATION = [p for p in PANELS if "${organisation" in p[2]]
VARIABLES = [
    (name, variable["name"], variable["query"]["rawSql"])
    for name, dashboard in DASHBOARDS.items()
    for variable in dashboard["templating"]["list"]
    if variable["type"] == "query"
]


def titled(panel: tuple[Any, ...]) -> str:
    return f"{panel[0].removesuffix('.json')}: {panel[1]}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a query."""

    names: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def column(self, name: str) -> list[Any]:
        at = list(self.names).index(name)
        return [row[at] for row in self.rows]


@dataclass(frozen=True, slots=True)
class Tables:
    """A database with data."""

    client: Any
    loaded: Loaded

    def view(self, org: str = "acme", **variables: Any) -> View:
        """What somebody of the organisation sees with everything chosen."""
        chosen = {
            "organisation": org,
            "capability": [ALL],
            "model": [ALL],
            "source": "production",
            "metric": [ALL],
            "ab_test": f"{org}-test",
            **variables,
        }
        options = {
            "capability": [f"{org}-chat", f"{org}-code"],
            "model": [f"{org}-small", f"{org}-big"],
            "metric": ["quality", "thumbs_up"],
        }
        return View(self.loaded.start, self.loaded.end, 60, chosen, options)

    def run(self, sql: str, view: View) -> Rows:
        result = self.client.query(expand(sql, view))
        types = [t.name for t in result.column_types]
        return Rows(result.column_names, types, result.result_rows)

    def panel(self, title: str, view: View) -> Rows:
        """The rows of the only query of a panel with this title."""
        (sql,) = [p[2] for p in PANELS if titled(p) == title]
        return self.run(sql, view)


@pytest.fixture(scope="module")
def tables(clickhouse: ClickHouseServer) -> Iterator[Tables]:
    name = f"dash_{uuid.uuid4().hex[:8]}"
    connection = ClickHouse(clickhouse.url, name)
    apply(connection, TableOptions(database=name))
    loaded = load(connection, datetime.now(UTC))
    client = clickhouse.client(database=name, autogenerate_session_id=False)
    yield Tables(client, loaded)
    client.command(f"DROP DATABASE {name}")
    client.close()
    connection.close()


def chosen_view(tables: Tables, panel: tuple[Any, ...], org: str = "acme") -> View:
    """In the A/B dashboard one metric is chosen; elsewhere several may be."""
    if panel[0] == "ab_tests.json":
        return tables.view(org, metric="quality")
    return tables.view(org)


def base(type_name: str) -> str:
    """A type without its wrappers."""
    for wrapper in ("SimpleAggregateFunction(sum, ", "LowCardinality(", "Nullable("):
        type_name = type_name.removeprefix(wrapper)
    return type_name.rstrip(")") if type_name[-1] == ")" else type_name


def is_number(type_name: str) -> bool:
    return base(type_name).startswith(("Int", "UInt", "Float", "Decimal"))


@pytest.mark.parametrize("panel", PANELS, ids=titled)
def test_every_panel_returns_rows_that_fit_it(
    tables: Tables, panel: tuple[str, str, str, Mapping[str, Any]]
) -> None:
    _, _, sql, spec = panel
    found = tables.run(sql, chosen_view(tables, panel))
    assert found.rows
    (target,) = [t for t in spec["targets"] if t.get("rawSql") == sql]
    if spec["type"] == "timeseries":
        assert target["format"] == 0
        check_series(found, spec)
    elif spec["type"] == "stat":
        assert len(found.rows) == 1
        assert len(found.names) == 1
        assert found.rows[0][0] is not None
    elif spec["type"] == "state-timeline":
        check_timeline(found, spec)
    else:
        assert spec["type"] == "table"
        assert target["format"] == 1
    for override in spec["fieldConfig"]["overrides"]:
        assert override["matcher"]["id"] == "byName"
        assert override["matcher"]["options"] in found.names
        if any(p["id"] in {"unit", "decimals"} for p in override["properties"]):
            at = list(found.names).index(override["matcher"]["options"])
            assert is_number(found.types[at]), found.types[at]


def check_series(found: Rows, spec: Mapping[str, Any]) -> None:
    assert found.names[0] == "time"
    assert base(found.types[0]).startswith("DateTime")
    times = found.column("time")
    assert times == sorted(times), "Grafana wants the times in order"
    labels = [n for n, t in zip(found.names, found.types, strict=True) if base(t) == "String"]
    numbers = [n for n, t in zip(found.names, found.types, strict=True) if is_number(t)]
    assert {"time", *labels, *numbers} == set(found.names)
    assert numbers
    assert any(v is not None for n in numbers for v in found.column(n))
    keys = list(zip(times, *(found.column(label) for label in labels), strict=True))
    assert len(set(keys)) == len(keys), "two rows for one point"
    shown = spec["fieldConfig"]["defaults"].get("displayName", "")
    for label in labels:
        assert f"${{__field.labels.{label}}}" in shown, "a label that tells series apart is unseen"
    assert shown.count("labels.") == len(labels)


def check_timeline(found: Rows, spec: Mapping[str, Any]) -> None:
    (by,) = spec["transformations"][0]["options"]["fields"]
    assert {"time", by} < set(found.names)
    assert base(found.types[list(found.names).index("time")]).startswith("DateTime64")


@pytest.mark.parametrize("panel", OF_AN_ORGANISATION, ids=titled)
def test_an_organisation_sees_its_own_and_nothing_else(
    tables: Tables, panel: tuple[str, str, str, Mapping[str, Any]]
) -> None:
    for org, stranger in (("acme", "other"), ("other", "acme")):
        found = tables.run(panel[2], chosen_view(tables, panel, org))
        assert found.rows
        assert f"{stranger}-" not in str(found.rows)
    nobody = tables.run(panel[2], chosen_view(tables, panel, "nobody"))
    assert all(v in (None, 0) for row in nobody.rows for v in row), nobody.rows


def test_the_organisation_alone_changes_the_answer(tables: Tables) -> None:
    """With the other's test and models chosen by their names: still nothing of theirs."""
    for panel in OF_AN_ORGANISATION:
        view = chosen_view(tables, panel, "other")
        mixed = replace(view, variables={**view.variables, "organisation": "acme"})
        assert "other-" not in str(tables.run(panel[2], mixed).rows), titled(panel)


@pytest.mark.parametrize(("dashboard", "name", "sql"), VARIABLES)
def test_variables_offer_values(tables: Tables, dashboard: str, name: str, sql: str) -> None:
    found = tables.run(sql, tables.view())
    assert len(found.names) == 1
    values = found.column(found.names[0])
    assert values
    assert "" not in values
    if name == "organisation":
        assert values == ["acme", "other"]
    else:
        assert "other" not in str(values)
    if (dashboard, name) == ("ab_tests.json", "metric"):
        assert values == ["quality", "error"], "primary metrics come first"


def test_choices_narrow_the_answer(tables: Tables) -> None:
    sides = "model_performance: Models side by side"
    everything = tables.panel(sides, tables.view())
    assert set(everything.column("model")) == {"acme-small", "acme-big"}
    one = tables.panel(sides, tables.view(model=["acme-big"], capability=["acme-code"]))
    assert set(one.column("model")) == {"acme-big"}
    assert sum(one.column("calls")) < sum(everything.column("calls"))
    evaluation = tables.panel(sides, tables.view(source="evaluation"))
    assert evaluation.column("calls") == [40]


def test_numbers_are_those_of_the_events(tables: Tables) -> None:
    events = tables.loaded.events["acme"]

    def one(title: str) -> float:
        return float(tables.panel(f"model_performance: {title}", tables.view()).rows[0][0])

    latencies = sorted(e["latency_ms"] for e in events)
    costs = [e["cost_usd"] for e in events if e["cost_usd"] is not None]
    assert one("Calls") == len(events)
    assert one("Error rate") == sum(e["error_type"] is not None for e in events) / len(events)
    exact = latencies[int(0.95 * (len(latencies) - 1))]
    assert one("Latency p95") == pytest.approx(exact, rel=0.01)
    known = [e["quality"] for e in events if e["quality"] is not None]
    assert one("Quality, mean") == pytest.approx(statistics.fmean(known))
    assert one("Cost") == pytest.approx(sum(costs), abs=1e-9)
    assert one("Priced calls") == pytest.approx(len(costs) / len(events))


def test_the_interval_of_the_mean_is_that_of_the_values(tables: Tables) -> None:
    found = tables.panel("model_performance: Models side by side", tables.view())
    for row in found.rows:
        shown = dict(zip(found.names, row, strict=True))
        values = [
            e["quality"]
            for e in tables.loaded.events["acme"]
            if (e["model_id"], e["model_version"]) == (shown["model"], shown["version"])
            and e["quality"] is not None
        ]
        error = statistics.stdev(values) / len(values) ** 0.5
        assert shown["quality ±"] == pytest.approx(1.96 * error)


def test_long_ranges_read_the_hours_and_agree(tables: Tables) -> None:
    calls = "model_performance: Calls a second"
    short, long = tables.view(), replace(tables.view(), interval_s=3600)
    of_panes, of_hours = tables.panel(calls, short), tables.panel(calls, long)
    assert len(of_hours.rows) < len(of_panes.rows)
    total = sum(of_hours.column("calls")) * 3600
    assert total == pytest.approx(sum(of_panes.column("calls")) * 60)
    assert total == pytest.approx(len(tables.loaded.events["acme"]))


def test_intervals_are_whole_panes(tables: Tables) -> None:
    odd = replace(tables.view(), interval_s=15)
    found = tables.panel("model_performance: Calls a second", odd)
    assert all(t.second % 20 == 0 for t in found.column("time"))
    total = sum(found.column("calls")) * 20
    assert total == pytest.approx(len(tables.loaded.events["acme"]))


def test_without_events_there_is_no_number(tables: Tables) -> None:
    """Missing is not zero: nothing was measured before the data began."""
    early = tables.loaded.start - timedelta(hours=2)
    view = replace(tables.view(metric="quality"), start=early, end=early + timedelta(hours=1))
    for panel in OF_AN_ORGANISATION:
        found = tables.run(panel[2], view)
        if panel[3]["type"] == "stat" and panel[1] not in {"Calls", "Changes of leader"}:
            assert all(v is None for row in found.rows for v in row), titled(panel)
        elif panel[3]["type"] == "timeseries":
            assert not found.rows, titled(panel)


def test_an_estimate_that_is_missing_is_a_gap(tables: Tables) -> None:
    title = "ab_tests: Difference from the baseline, with its anytime interval"
    view = tables.view(metric="quality")
    found = tables.panel(title, view)
    gaps = [i for i, row in enumerate(found.rows) if row[2:] == (None, None, None)]
    assert gaps == [0, 4]
    known = [row[2:] for row in found.rows if row[2] is not None]
    widths = [upper - lower for lower, _, upper in known]
    assert len(known) == len(found.rows) - 2
    assert widths == sorted(widths, reverse=True)
    # An older estimate of the same interval does not stand in for one that is gone.
    coarse = tables.panel(title, replace(view, interval_s=1200))
    assert coarse.rows[2][2:] == (None, None, None)


def test_what_is_published_twice_is_shown_once(tables: Tables) -> None:
    view = tables.view()
    assert len(tables.panel("selection: Alerts", view).rows) == 1
    updates = tables.panel("selection: Updates", view).column("selection")
    assert len(set(updates)) == len(updates)
    changes = tables.panel("selection: Changes of leader", view)
    assert changes.rows == [(2,)], "one for each of two capabilities"
    ranks = tables.panel("selection: Candidates now", view).column("rank")
    assert ranks == [1, 2, 3] * 2


def test_counted_and_stored_agree(tables: Tables) -> None:
    found = tables.panel("pipeline_health: Counted less stored", tables.view())
    assert found.rows == [(0,)]
    doomed = "DELETE FROM inference_events WHERE event_id IN ('acme-1', 'acme-2')"
    before = tables.client.query("SELECT count() FROM inference_events").result_rows[0][0]
    tables.client.command(doomed)
    assert tables.panel("pipeline_health: Counted less stored", tables.view()).rows == [(2,)]
    assert before == 2 * len(tables.loaded.events["acme"])
