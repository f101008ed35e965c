"""The command line: every --help teaches with an example, wrong use gets a clear sentence."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from infra import cli, configuration
from infra.errors import OperatorError
from tests.support.logs import restored


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    command = command or typer.main.get_command(cli.app)
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield path


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_shows_an_example_that_names_the_command(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "100"})
    assert shown.exit_code == 0
    assert "Example" in shown.stdout
    _, _, examples = shown.stdout.partition("Example")
    assert f"rheostat {' '.join(words)}" in examples


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["topcs"], "Did you mean 'topics'?"),
        (["worker"], "Missing argument"),
        (["up", "--kafka-port", "x"], "Invalid value for '--kafka-port'"),
        (["up", "--nope"], "No such option: --nope"),
        (["doctor", "--watch", "0"], "--watch"),
        (["registry", "aply", "x"], "Did you mean 'apply'?"),
    ],
)
def test_wrong_use_is_told_and_exits_2(words: list[str], said: str) -> None:
    shown = CliRunner().invoke(cli.app, words, env={"COLUMNS": "100"})
    assert shown.exit_code == 2
    assert said in " ".join(shown.output.split())
    assert "Traceback" not in shown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--scale", "nope=2"], "--scale nope=2 is not NAME=N"),
        (["up", "--without", "nope"], "--without nope: there is no such part"),
        (["up", "--kafka-port", "70000"], "--kafka-port is 70000"),
        (["worker", "nope"], "there is no worker named nope"),
    ],
)
def test_what_cannot_work_is_one_message_and_exit_1(
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["rheostat", *words])
    with restored(), pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["rheostat", "topics"])
    monkeypatch.setattr(configuration, "read", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_message_with_brackets_is_not_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: object) -> None:
        raise OperatorError("[Errno 111] Connection [red]refused[/]")

    monkeypatch.setattr(sys, "argv", ["rheostat", "topics"])
    monkeypatch.setattr(configuration, "read", refused)
    with pytest.raises(SystemExit):
        cli.main()
    assert "[Errno 111] Connection [red]refused[/]" in capsys.readouterr().err
