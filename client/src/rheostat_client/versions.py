"""Which version of a model answered last: errors carry no version, and must not seem another's."""

from rheostat_client.events import UNVERSIONED


class Versions:
    """The version of the last answer, by the model's name in the request. Thread-safe."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def answered(self, model: str, version: str) -> None:
        self._last[model] = version

    def of(self, model: str) -> str:
        """UNVERSIONED until the first answer."""
        return self._last.get(model, UNVERSIONED)
