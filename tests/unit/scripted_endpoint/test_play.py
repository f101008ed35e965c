"""The scripted endpoint's pure part: what is drawn, and that it can be repeated."""

from collections import Counter
from pathlib import Path

import pytest

from infra.errors import OperatorError
from infra.scripted_endpoint import standard
from infra.scripted_endpoint.play import Call, play, read_call
from infra.scripted_endpoint.script import Answer, Fault, Latency, Rule, Script, from_mapping, read
from infra.scripted_endpoint.serve import chosen

TABLE = {f"q{i}": f"a{i}" for i in range(500)}
RULE = Rule(
    answer=Answer(by_table=True, accuracy=0.8),
    latency=Latency(100, 0.5),
    faults=(Fault("server_error", 0.3), Fault("cut", 0.1)),
)
SCRIPT = Script(seed=3, rules=(RULE,), table=TABLE)


def call(prompt: str) -> Call:
    return Call("openai-chat", "small", prompt)


def test_the_same_seed_and_call_play_the_same() -> None:
    assert [play(SCRIPT, RULE, call(q), 0) for q in TABLE] == [
        play(SCRIPT, RULE, call(q), 0) for q in TABLE
    ]
    assert play(SCRIPT, RULE, call("q1"), 0) != play(SCRIPT, RULE, call("q1"), 1)


def test_answers_and_faults_come_as_often_as_the_rule_says() -> None:
    plays = [play(SCRIPT, RULE, call(q), 0) for q in TABLE]
    right = sum(p.text == TABLE[q] for p, q in zip(plays, TABLE, strict=True))
    faults = Counter(None if p.fault is None else p.fault.kind for p in plays)
    assert 360 <= right <= 440
    assert 115 <= faults["server_error"] <= 185
    assert sorted(p.last_s for p in plays)[250] == pytest.approx(0.1, rel=0.2)


def test_a_fault_may_strike_the_first_calls_only() -> None:
    rule = Rule(faults=(Fault("never", times=2),))
    found = [play(SCRIPT, rule, call("x"), nth).fault is not None for nth in range(4)]
    assert found == [True, True, False, False]


def test_the_last_user_message_is_the_prompt() -> None:
    messages = [
        {"role": "user", "content": "example"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "now"}]},
    ]
    assert read_call("openai-chat", {"model": "m", "messages": messages}).prompt == "now"


def test_a_completion_is_answered_by_the_message_that_its_prompt_ends_in() -> None:
    script = Script(table={"Text: x\n\nWho?": "Ada", "Who?": "Eve"})
    rule = Rule(answer=Answer(by_table=True))
    prompt = {"model": "m", "prompt": "Be brief.\n\nText: x\n\nWho?"}
    assert play(script, rule, read_call("openai-completions", prompt), 0).text == "Ada"
    assert play(script, rule, call("Be brief.\n\nWho?"), 0).text == "ok", "a chat's is exact"


def test_the_first_rule_that_matches_answers() -> None:
    script = Script(rules=(Rule(model="^a$"), Rule(prompt="poem")))
    assert script.rule("a", "x") is script.rules[0]
    assert script.rule("b", "a poem") is script.rules[1]
    assert script.rule("b", "x") is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rules": [{"model": "("}]}, "no regular expression"),
        ({"rules": [{"faults": [{"kind": "flood"}]}]}, "rules.0.faults.0.kind"),
        ({"rules": [{"answer": {"accuracy": 2}}]}, "rules.0.answer.accuracy"),
    ],
)
def test_a_script_with_a_mistake_is_refused(value: dict[str, object], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        from_mapping(value)


def test_the_standard_answers_stand_beside_a_script_s_own(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text('table: {"2 + 2": "4"}\nseed: 5\n')
    mixed = chosen(file, True, None, None)
    assert (mixed.table["2 + 2"], mixed.seed) == ("4", 5)
    assert set(standard.table()) < set(mixed.table)
    alone = chosen(None, True, 0.5, 7)
    assert (alone.seed, alone.rules[0].answer.accuracy) == (7, 0.5)
    plays = [play(alone, alone.rules[0], call(q), 0).text for q in standard.table()]
    right = sum(
        text == standard.table()[q] for text, q in zip(plays, standard.table(), strict=True)
    )
    assert 0.4 < right / len(plays) < 0.6
    assert set(plays) - {standard.WRONG} <= set(standard.table().values())
    assert chosen(None, False, None, None) == Script()
    for path, known in ((None, False), (file, True)):
        with pytest.raises(OperatorError, match="--accuracy goes with --standard"):
            chosen(path, known, 0.5, None)


def test_a_file_that_is_no_script_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    with pytest.raises(OperatorError, match="cannot be read"):
        read(path)
    path.write_text("- 1")
    with pytest.raises(OperatorError, match="holds no script"):
        read(path)
