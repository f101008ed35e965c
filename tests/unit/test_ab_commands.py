"""`rheostat ab ...`: what is asked for wrongly is told, not shown as nothing."""

import pytest
from typer.testing import CliRunner

from infra import ab, cli
from infra.ab import Known
from infra.errors import OperatorError
from schemas.records import RegistryFact
from tests.support.commands import NOW
from tests.support.logs import restored
from tests.support.trials import TEST


def test_a_timeline_of_a_metric_that_is_not_compared_names_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fact = RegistryFact(1, "me", NOW, "c", TEST)
    monkeypatch.setattr(ab, "known", lambda *_: Known(fact, TEST, None))
    monkeypatch.setattr(ab, "timeline", lambda *_: [])
    with restored():
        shown = CliRunner().invoke(cli.app, ["ab", "timeline", "t", "--metric", "qualty"])
        assert isinstance(shown.exception, OperatorError)
        assert str(shown.exception) == "t does not compare qualty; it compares quality."
        assert CliRunner().invoke(cli.app, ["ab", "timeline", "t"]).exit_code == 0
