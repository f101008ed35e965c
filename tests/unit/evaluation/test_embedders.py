"""Embedders as configured: endpoints, their faults, and the extra that is not installed."""

import json
import sys
import threading
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.errors import BadConfiguration
from agents.evaluation.embedders import embedders
from agents.evaluation.services import Embed, ServiceFailed


def endpoint(handler: Any, **spec: Any) -> Embed:
    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    text = json.dumps({"default": {"url": "http://embed/v1", "model": "m"} | spec})
    return embedders(text, client)["default"]


def answer(body: Any, status: int = 200) -> Any:
    return lambda request: httpx.Response(status, json=body)


async def test_vectors_come_in_the_order_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(
            200,
            json={"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1.5]}]},
        )

    monkeypatch.setenv("EMBED_KEY", "secret")
    assert await endpoint(handle, api_key_env="EMBED_KEY")(["a\udc80", "b"]) == [[1.5], [2.0]]
    assert str(seen[0].url) == "http://embed/v1/embeddings"
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert json.loads(seen[0].content) == {"model": "m", "input": ["a?", "b"]}


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (answer({}, 500), "HTTP 500"),
        (answer({"data": []}), "0 vectors for 1 texts"),
        (answer({"data": [{"index": 0}]}), "no list of embeddings"),
        (answer([]), "no list of embeddings"),
        (lambda request: httpx.Response(200, text="<html>"), "not understood"),
        (refuse, "ConnectError: connection refused"),
    ],
)
async def test_faults_of_an_endpoint(handler: Any, text: str) -> None:
    with pytest.raises(ServiceFailed, match=text):
        await endpoint(handler)(["a"])


async def test_a_key_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="NOT_SET_ANYWHERE"):
        await endpoint(answer({}), api_key_env="NOT_SET_ANYWHERE")(["a"])
    with pytest.raises(ServiceFailed, match="cannot be read"):
        await endpoint(answer({}), api_key_file=str(tmp_path / "none"))(["a"])


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the extra is installed")
async def test_a_local_model_without_its_extra_says_what_to_install() -> None:
    found = embedders('{"default": {"local_model": "m"}}', httpx.AsyncClient())
    with pytest.raises(ServiceFailed, match=r"rheostat\[embeddings\]"):
        await found["default"](["a"])


async def test_a_local_model_embeds_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def __init__(self, name: str, device: str) -> None:
            if name == "missing":
                raise OSError("no such model")
            self.thread = threading.get_ident()

        def encode(self, texts: list[str]) -> list[list[int]]:
            assert threading.get_ident() != here
            return [[len(text), 1] for text in texts]

    here = threading.get_ident()
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    text = '{"default": {"local_model": "m"}, "other": {"local_model": "missing"}}'
    found = embedders(text, httpx.AsyncClient())
    assert await found["default"](["a", "bc"]) == [[1.0, 1.0], [2.0, 1.0]]
    with pytest.raises(ServiceFailed, match="missing does not load: no such model"):
        await found["other"](["a"])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"a": {}}',
        '{"a": {"url": "http://x"}}',
        '{"a": {"url": "ftp://x", "model": "m"}}',
    ],
)
def test_wrong_configuration_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match="embedders"):
        embedders(text, httpx.AsyncClient())
