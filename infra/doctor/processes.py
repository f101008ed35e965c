"""The processes of the stack that runs in this data dir: alive, healthy, ready."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx

from infra.doctor.finding import Finding, found_or, hint, ok, problem, skipped
from infra.orphans import lives
from infra.settings import Settings
from infra.stack import TARGETS

TIMEOUT_S = 3.0
SUPERVISOR = "supervisor"


def processes(settings: Settings) -> list[Finding]:
    """One finding for each that is not well."""
    run_dir = settings.run_dir
    pids = {path.stem: _pid(path) for path in sorted(run_dir.glob("*.pid"))}
    supervisor = pids.pop(SUPERVISOR, None)
    if supervisor is None and not pids:
        return [skipped("processes", f"no rheostat up runs in {settings.data_dir}")]
    if supervisor is None or not lives(supervisor):
        return [
            problem(
                "processes",
                f"the supervisor of {settings.data_dir} ended without stopping its stack",
                "nobody starts again what dies, and stale addresses are left behind",
                "Run rheostat up: it clears away what is left and starts anew.",
            )
        ]
    targets = _targets(run_dir / TARGETS)
    found = [f for name, pid in pids.items() for f in _process(name, pid, targets.get(name))]
    missing = sorted(targets.keys() - pids.keys())
    found += [_not_running(name) for name in missing]
    names = ", ".join(pids)
    return found_or(found, ok("processes", f"{names}: alive, healthy and ready"))


def _process(name: str, pid: int | None, target: str | None) -> Iterator[Finding]:
    if pid is None or not lives(pid):
        yield _not_running(name)
    elif target is not None:
        try:
            silent = _page(target, "healthz")
            waiting = _page(target, "readyz")
        except (httpx.HTTPError, ValueError, KeyError) as error:
            yield problem(
                name,
                f"pid {pid} does not answer on {target}: {error}",
                "it is stuck, still starting, or its port was taken",
                f"Look again; see logs/{name}.log. kill {pid} makes the supervisor start it anew.",
            )
            return
        for part, seconds in silent.items():
            yield problem(
                name,
                f"{part} has been silent for {float(str(seconds)):.0f} s",
                "its loop hangs: it neither works nor fails",
                f"See logs/{name}.log; kill -9 {pid} makes the supervisor start it anew.",
            )
        for part, why in waiting.items():
            yield hint(
                name,
                f"{part} is not ready: {why}",
                "it does no work yet",
                f"Look again in a few seconds; if it stays, see logs/{name}.log",
            )


def _page(target: str, page: str) -> dict[str, object]:
    """What a page complains of; empty when all is well."""
    answer = httpx.get(f"http://{target}/{page}", timeout=TIMEOUT_S, trust_env=False)
    complaints: dict[str, object] = answer.json()["silent_s" if page == "healthz" else "waiting"]
    return complaints


def _not_running(name: str) -> Finding:
    return problem(
        name,
        "is not running now",
        "the supervisor starts it again, later each time that it fails",
        f"See the end of logs/{name}.log in the data dir for why it ended.",
    )


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _targets(path: Path) -> dict[str, str]:
    try:
        return {t["labels"]["process"]: t["targets"][0] for t in json.loads(path.read_text())}
    except (OSError, ValueError, KeyError):
        return {}
