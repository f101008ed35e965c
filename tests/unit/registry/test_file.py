"""The registry file: what is read, and what every mistake is told."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.errors import RegistryFileInvalid
from agents.evaluation.suites.judge import judge_with
from agents.registry.file import parse
from schemas.entities import AbTest, Alias, Endpoint, Model, Organisation, SelectionPolicy
from streams.registry_view import RegistrySnapshot
from tests.support.runs import snapshot

DOCS = Path(__file__).parents[3] / "docs" / "registry-file.md"
MODEL = """\
models:
  - org_id: acme
    model_id: small
    model_version: "1"
    provider: us
    capabilities: [chat]
"""
TEST = """\
ab_tests:
  - org_id: acme
    ab_test_id: t
    capability: chat
    unit: user
    arms: [{arm: a, model_id: small}, {arm: b, model_id: small}]
    baseline: a
    metrics: [{metric: quality, role: primary, direction: higher}]
"""


def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return found[1]


def mistakes(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(RegistryFileInvalid) as caught:
        parse(text, "registry.yaml")
    return [(p.line, p.field, p.text) for p in caught.value.problems]


def test_the_documented_example_is_read_in_full() -> None:
    file = parse(example(), "docs")
    assert [type(e) for e in file.entities] == [Model, Model, AbTest, SelectionPolicy]
    assert file.warnings == ()
    small = file.entities[0]
    assert isinstance(small, Model)
    assert [p.valid_from for p in small.prices] == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=UTC),
    ]


def test_the_documented_fields_are_all_read() -> None:
    _, more, _ = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    file = parse(more, "docs")
    kinds = ["organisation", "capability", "capability", "model", "alias", "user"]
    assert [e.kind for e in file.entities] == kinds
    [model] = [e for e in file.entities if isinstance(e, Model)]
    plainly = Model("acme", "small", "2026-09", "in-house", model.capabilities)
    given = {f.name for f in fields(model) if getattr(model, f.name) != getattr(plainly, f.name)}
    missing = {f.name for f in fields(model)} - given - {"org_id", "model_id", "model_version"}
    assert missing == {"provider", "capabilities", "status", "modality", "visibility"}


def test_the_documented_fields_of_ab_tests_are_all_read() -> None:
    *_, more = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (test,) = parse(more, "docs").entities
    assert isinstance(test, AbTest)
    plain = {f.name for f in fields(test) if getattr(test, f.name) == f.default}
    # Offline tests name a suite instead.
    assert plain == {"alpha", "mode", "allocation", "owner", "suite_id", "suite_version"}
    least = {f.name for f in fields(test.decision) if getattr(test.decision, f.name) == f.default}
    assert not least


def test_every_mistake_of_a_file_is_told_at_once_in_order_of_lines() -> None:
    text = MODEL.replace('"1"', "1").replace("provider", "provder") + TEST.replace(
        "baseline: a", "baseline: c"
    )
    assert mistakes(text) == [
        (2, "models[0].provider", "is missing"),
        (4, "models[0].model_version", "must be text; write it in quotes: '1'"),
        (5, "models[0].provder", "is not a field; did you mean provider?"),
        (13, "ab_tests[0].baseline", "'c' is none of the arms: a, b"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        ("[]", 1, "the file", "must hold the lists"),
        ("models: {a: 1}", 1, "models", "must be a list"),
        ("models:\n  - small", 2, "models[0]", "must be fields with values"),
        ("modles: []", 1, "modles", "did you mean models?"),
        ("models: [\n", 2, "the file", "is not YAML"),
        (MODEL + "    provider: them\n", 7, "models[0].provider", "is given twice"),
        (MODEL + "    status: live\n", 7, "models[0].status", "'draft', 'active'"),
        (MODEL.replace("[chat]", "[]"), 6, "models[0].capabilities", "at least one"),
        (MODEL.replace("[chat]", "[a, a]"), 6, "models[0].capabilities[1]", "given twice"),
        (MODEL + MODEL.removeprefix("models:\n"), 7, "models[1]", "already given in line 2"),
        (TEST.replace("arm: b", "arm: a"), 6, "ab_tests[0].arms[1]", "different names"),
        (TEST.replace("primary", "secondary"), 8, "ab_tests[0].metrics", "role primary"),
        (TEST.replace("small}]", "small, weight: 0}]"), 6, "ab_tests[0].arms[1].weight", "not 0"),
        (TEST + "    alpha: 0.7\n", 9, "ab_tests[0].alpha", "not 0.7"),
        (
            "policies:\n  - {org_id: a, capability: c, weights: {quality: 0, error: 0}}",
            2,
            "policies[0].weights",
            "above 0",
        ),
        (
            "policies:\n  - org_id: a\n    capability: c\n    constraints:\n      max_errors: 1",
            5,
            "policies[0].constraints.max_errors",
            "did you mean max_error_rate?",
        ),
    ],
)
def test_a_mistake_names_its_line_and_field(text: str, line: int, field: str, says: str) -> None:
    found = mistakes(text)
    assert (line, field) in [(at, where) for at, where, _ in found]
    assert any(says in message for at, _, message in found if at == line), found


def test_prices_are_in_order_and_times_have_a_zone() -> None:
    price = "{{valid_from: {}, input_usd_per_mtok: 1, output_usd_per_mtok: 1}}"
    twice = [price.format("2026-01-01")] * 2
    assert mistakes(f"{MODEL}    prices: [{', '.join(twice)}]\n")[0][1:] == (
        "models[0].prices[1].valid_from",
        "prices must be in order of time, each valid_from once",
    )
    naive = price.format("2026-01-01T00:00:00")
    assert "needs a time zone" in mistakes(f"{MODEL}    prices: [{naive}]\n")[0][2]


def test_new_fields_are_read_and_their_mistakes_named() -> None:
    more = """\
    endpoint: {base_url: "https://m.example/v1", api_style: openai-chat, secret_ref: env:KEY}
    levels: [{capability: chat, level: expert}]
    retires_at: 2027-01-01
aliases:
  - {org_id: acme, model_id: small, alias: champion, model_version: "1"}
organisations:
  - {org_id: acme, promotion_requires_verdict: true}
"""
    model, alias, organisation = parse(MODEL + more, "f").entities
    assert isinstance(model, Model)
    assert model.endpoint == Endpoint("https://m.example/v1", "openai-chat", "env:KEY")
    assert model.retires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert alias == Alias("acme", "small", "champion", "1")
    assert organisation == Organisation("acme", promotion_requires_verdict=True)
    wrong = MODEL + more.replace("api_style", "api_stile").replace(
        "capability: chat", "capability: x"
    )
    assert mistakes(wrong) == [
        (7, "models[0].endpoint.api_stile", "is not a field; did you mean api_style?"),
        (7, "models[0].endpoint.api_style", "is missing"),
    ]
    assert mistakes(wrong.replace("api_stile", "api_style")) == [
        (8, "models[0].levels[0].capability", "'x' is none of its capabilities")
    ]


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("env:KEY", "sk-0123456789abcdef", "secret_ref"),
        ("https://m.example/v1", "https://user:pass@m.example/v1", "base_url"),
        ("https://m.example/v1", "https://m.example/v1?key=abc", "base_url"),
    ],
)
def test_a_secret_has_no_place_in_the_registry(old: str, new: str, field: str) -> None:
    endpoint = (
        '    endpoint: {base_url: "https://m.example/v1", api_style: x, secret_ref: "env:KEY"}\n'
    )
    [(_, where, _)] = mistakes(MODEL + endpoint.replace(old, new))
    assert where == f"models[0].endpoint.{field}"
    assert parse(MODEL + endpoint, "f").entities


def test_an_endpoint_that_no_adapter_speaks_with_is_a_mistake_of_the_file() -> None:
    endpoint = '    endpoint: {base_url: "https://m.example/v1", api_style: x}\n'
    judge = judge_with(RegistrySnapshot())
    with pytest.raises(RegistryFileInvalid) as error:
        parse(MODEL + endpoint, "f", judge=judge)
    [problem] = error.value.problems
    assert (problem.line, problem.field) == (7, "models[0].endpoint.api_style")
    assert problem.text.startswith("no adapter speaks 'x'; there are anthropic-messages, openai-")
    (known,) = parse(MODEL + endpoint, "f").entities
    assert parse(MODEL + endpoint, "f", judge=judge_with(snapshot(known))).entities == (known,)


def test_an_unknown_model_is_a_warning_unless_the_registry_has_it() -> None:
    warnings = parse(TEST, "f").warnings
    assert [(w.line, w.field) for w in warnings] == [
        (6, "ab_tests[0].arms[0].model_id"),
        (6, "ab_tests[0].arms[1].model_id"),
    ]
    assert "acme has no model small" in warnings[0].text
    assert parse(TEST, "f", {("acme", "small")}).warnings == ()
    assert parse(TEST + MODEL, "f").warnings == ()
