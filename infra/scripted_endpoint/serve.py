"""Running the endpoint: in a thread for tests, or as a process until it is stopped."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from infra import orphans
from infra.errors import OperatorError
from infra.scripted_endpoint.script import Script, read
from infra.scripted_endpoint.server import ScriptedEndpoint

START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """An endpoint in a thread of this process. `url`: without the /v1 of the protocols."""

    endpoint: ScriptedEndpoint
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """As a model's endpoint in the registry."""
        return f"{self.url}/v1"


def chosen(path: Path | None, standard: bool, accuracy: float | None, seed: int | None) -> Script:
    """The script of a file, with the answers to the standard suites, or only these.

    Raises OperatorError for a file that is no script, and for an accuracy that nothing would use.
    """
    if accuracy is not None and (path is not None or not standard):
        raise OperatorError(
            "--accuracy goes with --standard and without a script: in a script each rule's answer "
            "has an accuracy of its own."
        )
    script = Script() if path is None else read(path)
    if standard:
        # Reads all suites and their packages: nobody else waits for that.
        from infra.scripted_endpoint import standard as suites

        if path is None:
            script = suites.script(1.0 if accuracy is None else accuracy)
        else:
            script = replace(script, table={**suites.table(), **script.table})
    return script if seed is None else replace(script, seed=seed)


def run(script: Script, host: str, port: int, console: Console) -> None:
    """Serves until SIGTERM or Ctrl-C, after one line with the address.

    Raises OperatorError for a port that is taken.
    """
    orphans.die_with_parent()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def told(found: int) -> None:
        console.print(f"http://{host}:{found}/v1", highlight=False, soft_wrap=True)
        console.file.flush()

    try:
        serve(script, host, port, stop, told)
    except OSError as error:
        raise OperatorError(
            f"The endpoint cannot listen on {host}:{port}: {error}. Choose another --port."
        ) from error


def serve(
    script: Script, host: str, port: int, stop: threading.Event, told: Callable[[int], None]
) -> None:
    """Serves until `stop`; calls `told` with the port once it listens. Raises OSError."""
    asyncio.run(_serve(ScriptedEndpoint(script), host, port, stop, told))


async def _serve(
    endpoint: ScriptedEndpoint,
    host: str,
    port: int,
    stop: threading.Event,
    told: Callable[[int], None],
) -> None:
    told(await endpoint.start(host, port))
    try:
        while not stop.is_set():
            await asyncio.sleep(0.05)
    finally:
        await endpoint.stop()


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[Running]:
    """Serves on loopback in a thread until the end of the block."""
    endpoint, stop, up = ScriptedEndpoint(script), threading.Event(), threading.Event()
    found: list[int] = []

    def told(number: int) -> None:
        found.append(number)
        up.set()

    def run() -> None:
        try:
            asyncio.run(_serve(endpoint, "127.0.0.1", port, stop, told))
        finally:
            up.set()

    thread = threading.Thread(target=run, name="scripted-endpoint", daemon=True)
    thread.start()
    try:
        if not up.wait(START_TIMEOUT_S) or not found:
            raise OSError(f"the scripted endpoint could not listen on port {port}")
        yield Running(endpoint, found[0])
    finally:
        stop.set()
        thread.join(START_TIMEOUT_S)
