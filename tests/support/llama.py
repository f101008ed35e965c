"""A llama.cpp server of a test's own, which it may kill and start again."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import free_port, wait_http

INSTALLED = Path("build/llama")
"""The environment that `make llama` makes; the model is unpacked there too."""


@dataclass(slots=True)
class LlamaServer:
    """`options`: see llama_server.py. `folder` gets its log."""

    folder: Path
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Returns at once: for a while it refuses connections, then it says that it loads."""
        script = Path(__file__).with_name("llama_server.py")
        python = str(INSTALLED / "bin/python")
        words = [python, str(script), "--port", str(self.port), "--folder", str(INSTALLED)]
        with (self.folder / "llama.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*words, *self.options], stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> None:
        """Returns when the model is loaded."""
        wait_http(f"http://127.0.0.1:{self.port}/health", 300)

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)


@contextmanager
def llama(folder: Path, *options: str) -> Iterator[LlamaServer]:
    """Loaded, until the end of the block."""
    server = LlamaServer(folder, options)
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.kill()
