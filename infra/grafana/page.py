"""A dashboard as data, and its JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink
from grafana_foundation_sdk.builders.dashboard import Row as RowBuilder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType

TAG = "rheostat"


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row of panels."""

    title: str
    panels: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard. `uid` is its address in Grafana and never changes."""

    uid: str
    file: str
    title: str
    description: str
    variables: Sequence[Any]
    rows: Sequence[Row]

    def to_json(self) -> str:
        """The file that Grafana imports. The same page gives the same bytes."""
        dashboard = (
            Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .editable()
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .refresh("10s")
            .time("now-1h", "now")
            .timezone("browser")
            .link(
                DashboardLink("Rheostat")
                .type(DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .tooltip("The other dashboards, with this range and these choices")
                .as_dropdown(False)
                .include_vars(True)
                .keep_time(True)
            )
        )
        for variable in self.variables:
            dashboard = dashboard.with_variable(variable)
        number = 0
        for row in self.rows:
            number += 1
            dashboard = dashboard.with_row(RowBuilder(row.title).id(number))
            for panel in row.panels:
                number += 1
                dashboard = dashboard.with_panel(panel.id(number))
        built = dashboard.build()
        return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
