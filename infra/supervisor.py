"""Keeps the whole stack running in the foreground: starts in order, restarts, stops in reverse."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from infra import child_log, orphans
from infra.errors import OperatorError
from infra.folders import usable
from infra.process import Backoff, ChildSpec
from infra.settings import ENDPOINTS
from infra.steps import Step, StepRun

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK_S = 0.1
PATIENCE_S = 10.0
"""After this long without being ready, and again as often, a child's last words are shown."""
log = structlog.get_logger("rheostat")


@dataclass(slots=True)
class Child:
    """A child and what became of it."""

    spec: ChildSpec
    ready_check: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    ready: bool = False
    mentioned_s: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """One stack in one data directory. `run` returns after a stop signal, when all have ended.

    prepare: called once the data directory is ours and nobody of an earlier run lives, before
    anything starts.
    """

    def __init__(
        self,
        data_dir: Path,
        children: Sequence[Child],
        steps: Sequence[Step],
        endpoints: Mapping[str, str],
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_dir = data_dir / "run"
        self._log_dir = data_dir / "logs"
        self._children = {child.spec.name: child for child in children}
        self._steps = {step.name: StepRun(step) for step in steps}
        self._endpoints = dict(endpoints)
        self._prepare = prepare
        self._stopping = False
        self._announced = False

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Raises OperatorError when another supervisor holds the data directory, when it cannot be
        written to, and whatever `prepare` and the steps raise."""
        usable(self._run_dir)
        usable(self._log_dir)
        with self._lock():
            left = orphans.kill_recorded(self._run_dir)
            if left:
                log.warning("killed what an earlier run left behind", processes=left)
            self._prepare()
            for number in STOP_SIGNALS:
                # Under nohup the end of the terminal is no reason to stop.
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._on_signal)
            sentinel = self._start_sentinel()
            try:
                self._write_endpoints()
                self._watch(on_ready)
            finally:
                self._stop_all()
                for name in (ENDPOINTS, orphans.RECORD, "supervisor.pid"):
                    (self._run_dir / name).unlink(missing_ok=True)
                if sentinel.stdin is not None:
                    sentinel.stdin.close()
                sentinel.wait(10)

    def _watch(self, on_ready: Callable[[], None]) -> None:
        while not self._stopping:
            self._tick(time.monotonic())
            if not self._announced and self._all_ready():
                self._announced = True
                on_ready()
            time.sleep(TICK_S)

    def stop(self) -> None:
        """Makes `run` end."""
        self._stopping = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        self.stop()

    def _all_ready(self) -> bool:
        return all(c.ready for c in self._children.values()) and all(
            run.done for run in self._steps.values()
        )

    def _tick(self, now_s: float) -> None:
        for child in self._children.values():
            self._reap(child, now_s)
            if child.process is None:
                if child.backoff.may_start(now_s) and self._met(child.spec.needs):
                    self._start(child, now_s)
            elif not child.ready:
                self._look(child, now_s)
        for run in self._steps.values():
            if not run.done and self._met(run.step.needs):
                run.advance(now_s)

    def _look(self, child: Child, now_s: float) -> None:
        name, waited_s = child.spec.name, round(now_s - child.started_s, 1)
        child.ready = child.ready_check()
        if child.ready:
            log.info("answers", process=name, after_s=waited_s)
        elif now_s - child.mentioned_s >= PATIENCE_S:
            child.mentioned_s = now_s
            last = (
                {"last_words": words}
                if (words := child_log.last_words(self._log_file(name)))
                else {}
            )
            log.info("still starting", process=name, after_s=waited_s, **last)

    def _met(self, needs: Sequence[str]) -> bool:
        """A need that is not ours (skipped or external) is met."""
        waiting = {name for name, child in self._children.items() if not child.ready}
        waiting |= {name for name, run in self._steps.items() if not run.done}
        return waiting.isdisjoint(needs)

    def _reap(self, child: Child, now_s: float) -> None:
        if child.process is None or child.process.poll() is None:
            return
        child.backoff = child.backoff.died(child.started_s, now_s)
        wait_s = round(child.backoff.start_at_s - now_s, 1)
        log.warning(
            "process ended, starting it again",
            process=child.spec.name,
            exit_code=child.process.returncode,
            in_s=wait_s,
            last_words=child_log.last_words(self._log_file(child.spec.name)),
        )
        child.process, child.ready = None, False
        self._pid_file(child.spec.name).unlink(missing_ok=True)

    def _start(self, child: Child, now_s: float) -> None:
        with child_log.opened(self._log_file(child.spec.name)) as out:
            child.process = subprocess.Popen(
                list(child.spec.argv),
                env={**os.environ, **child.spec.env, orphans.PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to us alone, so that we can stop them in order.
                start_new_session=True,
            )
        child.started_s = child.mentioned_s = now_s
        self._pid_file(child.spec.name).write_text(f"{child.process.pid}\n")
        self._record()
        log.info("started", process=child.spec.name, pid=child.process.pid)

    def _record(self) -> None:
        alive = {n: c.process.pid for n, c in self._children.items() if c.process is not None}
        orphans.record(self._run_dir, alive)

    def _stop_all(self) -> None:
        """In reverse order of start, each with its time to end."""
        for child in reversed(self._children.values()):
            process = child.process
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(child.spec.grace_s)
                except subprocess.TimeoutExpired:
                    log.warning("did not stop in time, killed", process=child.spec.name)
                    process.kill()
                    process.wait(10)
            self._pid_file(child.spec.name).unlink(missing_ok=True)

    def _log_file(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self._run_dir / f"{name}.pid"

    def _write_endpoints(self) -> None:
        """For its owner only: the URL of ClickHouse may hold a password."""
        partial = self._run_dir / f"{ENDPOINTS}.partial"
        partial.unlink(missing_ok=True)
        partial.touch(0o600)
        partial.write_text(json.dumps(self._endpoints))
        partial.replace(self._run_dir / ENDPOINTS)

    def _lock(self) -> IO[str]:
        handle = (self._run_dir / "supervisor.lock").open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            pid = handle.read().strip()
            handle.close()
            raise OperatorError(
                f"A stack already runs in {self._run_dir.parent} (pid {pid}). Stop it first "
                f"(Ctrl-C there, or kill {pid}), or choose another --data-dir."
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        (self._run_dir / "supervisor.pid").write_text(f"{os.getpid()}\n")
        return handle

    def _start_sentinel(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.orphans", str(self._run_dir.absolute())],
            env={**os.environ, orphans.PARENT: str(os.getpid())},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
