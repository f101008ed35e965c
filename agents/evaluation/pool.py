"""A pool of scoring workers: the event loop hands out jobs and never computes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from agents.errors import AgentError
from agents.evaluation.scorers.base import Absent, Found

ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)
"""What workers inherit. Secrets stay out of reach of scorers, and of code that they execute."""
GRACE_S = 5.0
"""Until a worker that should have ended by its own alarm is killed."""


class ScoringUnavailable(AgentError):
    """No worker process starts. The text says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the pool. `start_s`: until a new worker is ready; `load_s`: until a scorer is."""

    workers: int = 2
    start_s: float = 60.0
    load_s: float = 120.0


class Pool:
    """`limits.workers` processes, one job each at a time; who finds none free waits.

    A worker that dies or exceeds a limit costs its own job, which comes back as `Absent`; another
    one is started for the next job. `pass_env`: further variables that custom scorers need.
    """

    def __init__(self, limits: Limits = Limits(), pass_env: tuple[str, ...] = ()) -> None:
        self._limits = limits
        self._env = {
            **{name: os.environ[name] for name in ENVIRONMENT + pass_env if name in os.environ},
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._free: asyncio.Queue[_Worker | None] = asyncio.Queue(limits.workers)
        self.replaced = 0

    async def __aenter__(self) -> "Pool":
        """Start every worker. Raises ScoringUnavailable."""
        started = await asyncio.gather(
            *(self._start() for _ in range(self._limits.workers)), return_exceptions=True
        )
        for worker in started:
            if isinstance(worker, _Worker):
                self._free.put_nowait(worker)
        failures = [error for error in started if isinstance(error, BaseException)]
        if failures:
            await self._end_all()
            raise failures[0]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._end_all()

    async def run(self, job: Mapping[str, Any], limit_s: float) -> Found | Absent:
        """What the scorer says of `job` (scorer, options, answer, fields) within `limit_s`."""
        line = json.dumps({**job, "limit_s": limit_s}).encode() + b"\n"
        worker = await self._free.get()
        try:
            if worker is None:
                worker = await self._start()
            async with asyncio.timeout(self._limits.load_s):
                await worker.send(line)
                await worker.receive()
            async with asyncio.timeout(limit_s + GRACE_S):
                return _said(await worker.receive())
        except ScoringUnavailable as error:
            return Absent(str(error))
        except TimeoutError:
            worker = await self._drop(worker)
            return Absent(f"scoring took longer than {limit_s:g} s and was stopped")
        except _Died as died:
            worker = await self._drop(worker)
            if died.code == -signal.SIGALRM:
                return Absent(f"scoring took longer than {limit_s:g} s and was stopped")
            return Absent(f"the scoring worker ended with {died.code} while it judged this answer")
        except BaseException:
            # Cancelled: the answer of this job must not be taken for that of the next.
            worker = await self._drop(worker)
            raise
        finally:
            self._free.put_nowait(worker)

    async def _start(self) -> "_Worker":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agents.evaluation.worker",
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=self._env,
            start_new_session=True,
        )
        worker = _Worker(process)
        try:
            async with asyncio.timeout(self._limits.start_s):
                await worker.receive()
        except (TimeoutError, _Died) as error:
            await worker.end()
            why = f"it ended with {error.code}" if isinstance(error, _Died) else "it was not ready"
            raise ScoringUnavailable(
                f"a scoring worker did not start: {why} within {self._limits.start_s:g} s. Run "
                f"{sys.executable} -m agents.evaluation.worker to see what is wrong"
            ) from error
        return worker

    async def _drop(self, worker: "_Worker | None") -> "_Worker | None":
        """What takes its place: None, so that the next job starts one."""
        if worker is not None:
            self.replaced += 1
            await worker.end()
        return None

    async def _end_all(self) -> None:
        while not self._free.empty():
            worker = self._free.get_nowait()
            if worker is not None:
                await worker.end()


class _Died(Exception):
    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exit code {code}")


class _Worker:
    """One process and its two pipes."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, line: bytes) -> None:
        """Raises _Died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise _Died(await self._process.wait()) from None

    async def receive(self) -> dict[str, Any]:
        """The next line. Raises _Died."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _Died(await self._process.wait())
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    async def end(self) -> None:
        """Kill it and everything in its process group."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _said(reply: Mapping[str, Any]) -> Found | Absent:
    return Absent(reply["reason"]) if "reason" in reply else Found(**reply)
