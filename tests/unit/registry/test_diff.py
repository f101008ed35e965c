"""What differs between two versions."""

from dataclasses import replace

import pytest

from agents.registry.diff import Difference, diff
from schemas.entities import Endpoint, Model, Price, SelectionPolicy
from tests.support.commands import NOW

MODEL = Model(
    "acme",
    "m",
    "1",
    "us",
    ("chat",),
    prices=(Price(NOW, 1, 2),),
    endpoint=Endpoint("https://a", "x"),
)


def test_the_same_does_not_differ() -> None:
    assert diff(MODEL, replace(MODEL)) == ()


def test_every_field_that_differs_is_named_by_its_path() -> None:
    other = replace(
        MODEL,
        model_version="2",
        capabilities=("chat", "code"),
        prices=(Price(NOW, 1, 3),),
        endpoint=Endpoint("https://b", "x"),
        context_window_tokens=8,
    )
    assert diff(MODEL, other) == (
        Difference("model_version", "1", "2"),
        Difference("capabilities[1]", None, "code"),
        Difference("prices[0].output_usd_per_mtok", 2, 3),
        Difference("endpoint.base_url", "https://a", "https://b"),
        Difference("context_window_tokens", None, 8),
    )
    assert diff(replace(MODEL, endpoint=None), MODEL) == (
        Difference("endpoint", None, MODEL.endpoint),
    )


def test_two_kinds_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="a model and a policy"):
        diff(MODEL, SelectionPolicy("acme", "chat"))
