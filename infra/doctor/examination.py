"""Runs checks side by side: every one has its time, and none stops another."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaException

from infra.doctor.finding import Finding, Level, Report, problem, skipped
from infra.errors import OperatorError
from infra.settings import Settings
from sinks.errors import SinkError
from streams.errors import StreamError

Checks = Callable[[Settings], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `needs`: checks without whose success it cannot be asked.

    run: may raise the errors that speak to operators; each becomes a problem.
    """

    name: str
    run: Checks
    why: str
    needs: Sequence[str] = ()
    timeout_s: float = 20.0


@dataclass(slots=True)
class _Running:
    """A check in its thread. A daemon: one that hangs is left behind."""

    check: Check
    settings: Settings
    began_s: float = field(default_factory=time.monotonic)
    findings: list[Finding] | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=self.check.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        name, why = self.check.name, self.check.why
        try:
            self.findings = list(self.check.run(self.settings))
        except (OperatorError, SinkError, StreamError) as error:
            what, _, do = str(error).partition(". ")
            self.findings = [problem(name, what, why, do or "Correct this and look again.")]
        except (KafkaException, TimeoutError) as error:
            said = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
            self.findings = [
                problem(
                    name,
                    f"Kafka does not tell: {said}",
                    why,
                    "Give our user DESCRIBE on topics, groups and the cluster, or look again.",
                )
            ]
        except Exception as error:
            self.findings = [
                problem(
                    name,
                    f"the check itself failed: {type(error).__name__}: {error}",
                    "nothing is known about this part",
                    "Look at this part by hand, and report the message as a fault of the doctor.",
                )
            ]

    def result(self) -> list[Finding]:
        """What was found, waiting until the check's time is over."""
        self.thread.join(max(0.0, self.began_s + self.check.timeout_s - time.monotonic()))
        if self.findings is not None:
            return self.findings
        return [
            problem(
                self.check.name,
                f"no answer within {self.check.timeout_s:g} s",
                self.check.why,
                "See whether that server is overloaded or a firewall drops what is sent to it.",
            )
        ]


def examine(checks: Sequence[Check], settings: Settings) -> Report:
    """All findings. Checks start as soon as those they need have succeeded."""
    results: dict[str, list[Finding]] = {}
    waiting = list(checks)
    while waiting:
        ready = [check for check in waiting if results.keys() >= set(check.needs)]
        if not ready:
            raise ValueError(f"checks need each other: {[check.name for check in waiting]}")
        started = []
        for check in ready:
            waiting.remove(check)
            missing = [name for name in check.needs if _failed(results[name])]
            if missing:
                results[check.name] = [skipped(check.name, f"not asked: {missing[0]} has problems")]
            else:
                started.append(_Running(check, settings))
        for running in started:
            results[running.check.name] = running.result()
    return Report(tuple(finding for check in checks for finding in results[check.name]))


def _failed(findings: Iterable[Finding]) -> bool:
    return any(
        finding.level is not Level.OK and finding.level is not Level.HINT for finding in findings
    )
