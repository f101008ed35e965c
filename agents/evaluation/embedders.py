"""Embedders by name, as configured: OpenAI-compatible endpoints, or a model in this process.

{"default": {"url": "http://localhost:8080/v1", "model": "all-minilm",
             "api_key_env": "EMBEDDINGS_KEY"},
 "local":   {"local_model": "sentence-transformers/all-MiniLM-L6-v2"}}
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from agents.errors import BadConfiguration
from agents.evaluation.services import Embed, ServiceFailed


class EmbedderSpec(BaseModel):
    """Where embeddings come from. Keys are references: a variable's name or a file, never a key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, pattern=r"^https?://")
    model: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    local_model: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "EmbedderSpec":
        if (self.url is None) == (self.local_model is None):
            raise ValueError("give either url and model, or local_model")
        if self.url is not None and self.model is None:
            raise ValueError("an endpoint needs a model")
        return self

    def api_key(self) -> str | None:
        """Read when it is used, so that a key may be changed in place. Raises ServiceFailed."""
        if self.api_key_env is not None:
            if self.api_key_env not in os.environ:
                raise ServiceFailed(f"the variable {self.api_key_env} with its key is not set")
            return os.environ[self.api_key_env]
        if self.api_key_file is not None:
            try:
                return Path(self.api_key_file).read_text().strip()
            except OSError as error:
                raise ServiceFailed(f"the file with its key cannot be read: {error}") from None
        return None


def embedders(text: str, client: httpx.AsyncClient) -> Mapping[str, Embed]:
    """From their configuration (a JSON object of names). Raises BadConfiguration."""
    try:
        specs = TypeAdapter(dict[str, EmbedderSpec]).validate_json(text)
    except ValidationError as error:
        raise BadConfiguration(f"embedders: {error}") from None
    return {name: _embedder(spec, client) for name, spec in specs.items()}


def _embedder(spec: EmbedderSpec, client: httpx.AsyncClient) -> Embed:
    if spec.local_model is not None:
        return LocalEmbedder(spec.local_model)
    return EndpointEmbedder(spec, client)


class EndpointEmbedder:
    """POST {url}/embeddings, as OpenAI has it. Waits as long as the client's timeouts allow."""

    def __init__(self, spec: EmbedderSpec, client: httpx.AsyncClient) -> None:
        self._spec = spec
        self._client = client

    async def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]:
        """Vectors in the order of the texts. Raises ServiceFailed."""
        key = self._spec.api_key()
        clean = [text.encode(errors="replace").decode() for text in texts]
        try:
            response = await self._client.post(
                f"{str(self._spec.url).rstrip('/')}/embeddings",
                json={"model": self._spec.model, "input": clean},
                headers={"Authorization": f"Bearer {key}"} if key else {},
            )
            response.raise_for_status()
            return _vectors(response.json(), len(texts))
        except httpx.HTTPStatusError as error:
            text = error.response.text[:200]
            raise ServiceFailed(f"HTTP {error.response.status_code}: {text}") from None
        except httpx.HTTPError as error:
            raise ServiceFailed(f"{type(error).__name__}: {error}") from None
        except ValueError as error:
            raise ServiceFailed(f"its answer is not understood: {error}") from None


def _vectors(body: Any, count: int) -> Sequence[Sequence[float]]:
    """Raises ValueError."""
    try:
        items = sorted(body["data"], key=lambda item: item["index"])
        vectors = [[float(x) for x in item["embedding"]] for item in items]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no list of embeddings ({type(error).__name__}: {error})") from None
    if len(vectors) != count:
        raise ValueError(f"{len(vectors)} vectors for {count} texts")
    return vectors


class LocalEmbedder:
    """A model of sentence-transformers (the extra `embeddings`), in a thread of its own.

    `model`: a name of its hub, or a folder. Loaded at the first use.
    """

    def __init__(self, model: str) -> None:
        self._name = model
        self._model: Any = None
        self._thread = ThreadPoolExecutor(1, "embedder")

    async def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]:
        """Vectors in the order of the texts. Raises ServiceFailed."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._encode, list(texts))

    def _encode(self, texts: list[str]) -> Sequence[Sequence[float]]:
        if self._model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                raise ServiceFailed(
                    "sentence-transformers is not installed: pip install 'rheostat[embeddings]'"
                ) from None
            try:
                self._model = SentenceTransformer(self._name, device="cpu")
            except Exception as error:  # the library raises whatever its parts raise
                raise ServiceFailed(f"{self._name} does not load: {error}") from error
        return [[float(x) for x in vector] for vector in self._model.encode(texts)]
