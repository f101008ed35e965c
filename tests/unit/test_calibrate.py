"""Calibration on one's own values: files as they come, honest exit codes, plans side by side."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from infra import calibrate
from infra.calibrate import Options
from infra.cli import app
from infra.errors import OperatorError
from streams.statistics.clusters import UnitSums
from tests.support.logs import restored


def silent(_: int) -> None:
    pass


def run(*words: str) -> Any:
    with restored():
        return CliRunner().invoke(app, ["stats", *words], env={"COLUMNS": "160"})


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Calls of 1,500 units, each with a mean of its own."""
    rng = np.random.default_rng(1)
    units = rng.integers(0, 1500, 6000)
    values = rng.normal(size=1500)[units] + rng.normal(10, 1, 6000)
    path = tmp_path / "calls.csv"
    pl.DataFrame({"user": units, "ms": values}).write_csv(path)
    return path


def test_a_unit_is_one_value_from_csv_or_parquet(calls: Path, tmp_path: Path) -> None:
    by_unit = calibrate.from_file(calls, "ms", "user")
    frame = pl.read_csv(calls)
    assert len(by_unit) == frame["user"].n_unique()
    assert by_unit[0] == pytest.approx(
        frame.filter(pl.col("user") == frame["user"][0])["ms"].mean()
    )
    other = tmp_path / "calls.parquet"
    frame.write_parquet(other)
    assert calibrate.from_file(other, "ms", "user") == pytest.approx(by_unit)
    assert len(calibrate.from_file(calls, "ms", None)) == 6000


def test_bad_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"

    def says(text: str, value: str = "value") -> str:
        path.write_text(text)
        with pytest.raises(OperatorError) as raised:
            calibrate.from_file(path, value, None)
        return str(raised.value)

    assert "no column value; it has a, b" in says("a,b\n1,2\n")
    assert "holds no numbers" in says("value\nx\ny\n")
    assert "2 units: too few" in says("value\n1\n2\n")
    assert "no spread" in says("value\n" + "3\n" * 500)
    assert "not finite" in says("value\n" + "3\n" * 500 + "inf\n")
    path.unlink()
    with pytest.raises(OperatorError, match="there is no file"):
        calibrate.from_file(path, "value", None)
    broken = tmp_path / "x.parquet"
    broken.write_bytes(b"nothing")
    with pytest.raises(OperatorError, match="no readable"):
        calibrate.from_file(broken, "value", None)


def test_a_report_says_what_each_method_does() -> None:
    values = np.random.default_rng(2).lognormal(0, 1, 3000)
    report = calibrate.calibrate(values, Options(tests=400, looks=10, ratio=2.0), silent)
    assert report.sound
    assert sum(report.per_arm) <= 3000
    assert report.per_arm[1] == pytest.approx(2 * report.per_arm[0], rel=0.02)
    rows = {row.method: row for row in report.rows}
    assert rows["fixed, every look"].p_value < 0.001
    assert rows["anytime"].power == pytest.approx(0.8, abs=0.08)
    again = calibrate.calibrate(values, Options(tests=400, looks=10, ratio=2.0), silent)
    assert again == report


def test_a_broken_promise_is_reported() -> None:
    row = calibrate.Row("anytime", 0.2, 1e-9, True, 0.5, 0.5)
    other = calibrate.Row("fixed, every look", 0.4, 1e-9, False, 0.5, 0.5)
    assert not row.holds
    assert other.holds
    report = calibrate.Report(500, 1.0, 1.0, (200, 200), 0.1, 0.06, (row, other))
    assert not report.sound
    assert calibrate.as_json(report)["sound"] is False


@pytest.mark.parametrize("effect", ["0.5", "5%", "-0.3"])
def test_effects_are_numbers_or_percent(effect: str) -> None:
    values = np.random.default_rng(3).normal(10, 1, 1000)
    report = calibrate.calibrate(values, Options(200, 5, effect=effect), silent)
    expected = 0.05 * values.mean() if "%" in effect else float(effect)
    assert report.effect == pytest.approx(expected)


@pytest.mark.parametrize(("effect", "says"), [("much", "neither"), ("0", "no difference")])
def test_effects_that_are_none(effect: str, says: str) -> None:
    values = np.random.default_rng(3).normal(10, 1, 1000)
    with pytest.raises(OperatorError, match=says):
        calibrate.calibrate(values, Options(200, 5, effect=effect), silent)


def test_rates_stay_rates() -> None:
    values = (np.random.default_rng(4).random(2000) < 0.1).astype(float)
    report = calibrate.calibrate(values, Options(200, 5, effect="50%"), silent)
    assert {row.method: row.power for row in report.rows}["fixed, one look"] > 0.5
    with pytest.raises(OperatorError, match="cannot differ"):
        calibrate.calibrate(values, Options(200, 5, effect="0.95"), silent)
    with pytest.raises(OperatorError, match="too few for 200 looks"):
        calibrate.calibrate(values[:400], Options(200, 200), silent)


class Units:
    """ClickHouse with two arms."""

    def sums(self, org_id: str, ab_test_id: str, metric: str) -> dict[str, UnitSums]:
        return {"a": UnitSums(450), "b": UnitSums(600)} if ab_test_id == "t" else {}

    def values(self, org_id: str, test: str, metric: str, arm: str, limit: int) -> list[float]:
        return [float(i % 7) for i in range(450 if arm == "a" else 600)]


def test_units_of_the_largest_arm_come_from_clickhouse() -> None:
    units: Any = Units()
    assert len(calibrate.from_clickhouse(units, "acme", "t", "quality", None)) == 600
    assert len(calibrate.from_clickhouse(units, "acme", "t", "quality", "a")) == 450
    with pytest.raises(OperatorError, match="no arm c; it has a, b"):
        calibrate.from_clickhouse(units, "acme", "t", "quality", "c")
    with pytest.raises(OperatorError, match="no calls of A/B test nope"):
        calibrate.from_clickhouse(units, "acme", "nope", "quality", None)


def test_the_command_shows_a_table_and_json(calls: Path) -> None:
    words = ("calibrate", str(calls), "--unit", "user", "--value", "ms", "--tests", "200")
    shown = run(*words)
    assert shown.exit_code == 0, shown.output
    for word in ("anytime", "pocock", "no promise", "holds"):
        assert word in shown.output
    as_json = run(*words, "--json")
    assert json.loads(as_json.stdout)["sound"] is True


def test_plans_stand_beside_each_other() -> None:
    shown = run("plan", "--difference", "0.02", "--deviation", "0.25", "--per-day", "1000")
    assert shown.exit_code == 0, shown.output
    assert "obrien_fleming" in shown.output
    found = run("plan", "--difference", "0.01", "--rate", "0.1", "--at-most", "9000", "--json")
    methods = {row["method"]: row for row in json.loads(found.stdout)["methods"]}
    assert methods["fixed"]["n"] < methods["obrien_fleming"]["n"] < methods["anytime"]["n"]
    assert methods["anytime"]["power"] < methods["fixed"]["power"] < 1
    assert methods["fixed"]["days"] is None
    corrected = run("plan", "--difference", "0.01", "--rate", "0.1", "--arms", "4", "--json")
    assert json.loads(corrected.stdout)["methods"][0]["n"] > methods["fixed"]["n"]


def test_a_plan_needs_one_spread() -> None:
    for words in ((), ("--rate", "0.1", "--deviation", "1")):
        shown = run("plan", "--difference", "0.1", *words)
        assert isinstance(shown.exception, OperatorError)
    assert isinstance(run("plan", "--difference", "0.6", "--rate", "0.5").exception, OperatorError)
    assert isinstance(run("calibrate").exception, OperatorError)
