"""`rheostat ab discoveries` and `evidence`: tables that fit, JSON, and what to do about errors."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agents.ab_discoveries import AllTests
from agents.ab_results import Results
from infra import ab_many, ab_many_commands, cli
from infra.ab import Known, Shown
from infra.ab_many_show import e_value
from infra.errors import OperatorError
from infra.settings import Settings
from schemas.records import RegistryFact
from tests.support.commands import NOW
from tests.support.logs import restored
from tests.support.trials import TEST
from tests.unit.policy.test_discoveries import begun
from tests.unit.policy.test_joint_evidence import OFFLINE, ONLINE, judged


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> None:
    found = AllTests((begun("strong", 0, 1e6), begun("weak", 1, 2.0)), ("idle",))
    monkeypatch.setattr(ab_many, "everything", lambda settings, org: (org or "acme", found))
    monkeypatch.setattr(ab_many_commands, "console", Console(width=80))


def said(*arguments: str) -> str:
    with restored():
        found = CliRunner().invoke(cli.app, ["ab", *arguments])
    assert found.exit_code == 0, found.exception
    return found.output


@pytest.mark.usefixtures("tests")
def test_discoveries_fit_in_80_columns_and_say_what_they_rest_on() -> None:
    shown = said("discoveries")
    assert "1 of 2 A/B tests found a difference" in shown
    assert "By e-lond, which assumes nothing about how tests depend" in shown
    assert "Without a verdict yet, and so without a place: idle" in shown
    assert "0.002676" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "independent of each other" in said("discoveries", "--procedure", "lord")


@pytest.mark.usefixtures("tests")
def test_discoveries_as_json_are_what_the_api_answers() -> None:
    found = json.loads(said("discoveries", "--json", "--q", "0.2"))
    assert (found["q"], found["discoveries"], found["without_verdict"]) == (0.2, 1, ["idle"])
    assert [row["ab_test_id"] for row in found["tests"]] == ["strong", "weak"]


def test_several_organisations_or_none_are_told_apart() -> None:
    organisation = ab_many._organisation
    assert organisation([TEST], None) == TEST.org_id
    assert organisation([], "globex") == "globex"
    with pytest.raises(OperatorError, match="has no A/B test"):
        organisation([], None)


def test_evidence_beyond_doubles_is_a_power_of_ten() -> None:
    assert (e_value(None), e_value(0.0), e_value(2302.585093)) == ("", "1", "10^1000")


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = {each.test.ab_test_id: each for each in (ONLINE, OFFLINE, judged("new"))}

    def known(settings: Settings, name: str, org: str | None) -> Known:
        test = tests[name].test
        return Known(RegistryFact(1, "me", NOW, "c", test), test, None)

    def results(settings: Settings, found: Known) -> Shown:
        name = found.test.ab_test_id
        return Shown(found, Results(None if name == "new" else tests[name].verdict))

    monkeypatch.setattr(ab_many, "known", known)
    monkeypatch.setattr(ab_many, "results", results)
    monkeypatch.setattr(ab_many_commands, "console", Console(width=80))


def failed(*arguments: str) -> str:
    with restored():
        found = CliRunner().invoke(cli.app, ["ab", *arguments])
    assert isinstance(found.exception, OperatorError)
    return str(found.exception)


@pytest.mark.usefixtures("pair")
def test_evidence_of_two_tests_fits_in_80_columns() -> None:
    shown = said("evidence", "live", "--with", "cases")
    assert "live and cases: product of their e-values" in shown
    assert "quality: g against m" in shown
    together = next(line.split() for line in shown.splitlines() if "together" in line)
    assert together == ["together", "40", "0.025"]
    assert max(map(len, shown.splitlines())) <= 80
    found = json.loads(said("evidence", "live", "--with", "cases", "--dependent", "--json"))
    assert (found["how"], found["other"]) == ("mean", "cases")
    assert found["comparisons"][0]["p_value"] == pytest.approx(1 / 6.5)


@pytest.mark.usefixtures("pair")
def test_evidence_says_what_is_wrong_and_what_to_do() -> None:
    assert "is the test itself" in failed("evidence", "live", "--with", "live")
    assert failed("evidence", "live", "--with", "new") == (
        "new has no verdict yet: it is running, and nothing of it has been judged. "
        "See: rheostat ab results new"
    )
    text = failed("evidence", "live", "--with", "cases", "--metric", "cost_usd")
    assert text.startswith("live and cases have not both the metric cost_usd in common")
