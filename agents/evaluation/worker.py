"""The program of one scoring worker: jobs on standard input, results on standard output.

Each is one line of ASCII JSON. A job is answered twice: when the scorer is loaded, and with what it
says. When scoring lasts longer than the job's limit the process ends by SIGALRM, which stops even
a regular expression that never returns, and also when the process that asked is gone.
"""

import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import BinaryIO

from agents.evaluation.scorers.base import Absent, Found, Scorer
from agents.evaluation.scorers.run import judge, loaded, prepared

MEMORY_BYTES = 4 << 30
"""Address space of one worker; a scorer that needs more gets MemoryError."""


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(
        resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1])
    )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What scorers and libraries print must not be taken for results.
    with os.fdopen(os.dup(1), "wb") as results:
        os.dup2(2, 1)
        say(results, {"ready": True})
        for line in sys.stdin.buffer:
            serve(json.loads(line), results)


def serve(job: dict[str, object], results: BinaryIO) -> None:
    """One job. `answer` and `fields` as the scorer takes them; `limit_s`: for scoring."""
    name, answer, fields = job["scorer"], job["answer"], job["fields"]
    assert isinstance(name, str)
    assert isinstance(answer, str)
    assert isinstance(fields, dict)
    found = prepared(name, str(job["options"]))
    said: Found | Absent
    if isinstance(found, Absent):
        say(results, {"loaded": True})
        said = found
    else:
        scorer, options = found
        assert isinstance(scorer, Scorer)
        said = loaded(scorer)
        say(results, {"loaded": True})
        if isinstance(said, Found):
            signal.setitimer(signal.ITIMER_REAL, float(str(job["limit_s"])))
            said = judge(scorer, options, answer, fields)
            signal.setitimer(signal.ITIMER_REAL, 0)
    say(results, asdict(said))


def say(results: BinaryIO, value: dict[str, object]) -> None:
    """One line, at once."""
    results.write(json.dumps(value).encode() + b"\n")
    results.flush()


if __name__ == "__main__":
    main()
