"""An installed package with scorers of its own, made in a folder: entry points and a module."""

import os
from pathlib import Path

import pytest

from agents.evaluation.scorers import registry, run

MODULE = """
import os, time
from agents.evaluation.scorers.base import Absent, AskingScorer, Call, Found, Options, Scorer

class Wait(Options):
    seconds: float = 0.0

def act(answer, fields, options):
    if answer == "exit":
        os._exit(7)
    if answer == "raise":
        raise ValueError("odd answer")
    if answer == "print":
        print("not a result", flush=True)
    if answer == "nan":
        return Found(float("nan"))
    if answer == "memory":
        bytearray(1 << 40)
    if answer == "environment":
        return Found(1.0, explanation=" ".join(sorted(os.environ)))
    time.sleep(options.seconds)
    return Found(float(len(answer)), "length", "x" * 10_000)

class Needs(Options):
    field: str = "question"
    prompt: object = ""
    without_fields: bool = True

async def give_up(answer, fields, options, services):
    return Absent("it only says what it would ask")

def calls(fields, options):
    prompt = fields[options.field] if fields or options.without_fields else options.prompt
    return [Call("judge", None, prompt, 10, 1000)]

asking = AskingScorer("asking", "1", Needs, give_up, calls)
acting = Scorer("acting", "3", Wait, act, time_limit_s=lambda options: 1.0)
other_name = Scorer("another", "1", Wait, act)
no_scorer = 1
"""
POINTS = """
[rheostat.scorers]
acting = acting_scorers:acting
asking = acting_scorers:asking
misnamed = acting_scorers:other_name
no_scorer = acting_scorers:no_scorer
absent_module = not_there_at_all:x
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the package importable here and in processes started from here."""
    info = folder / "acting_scorers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acting-scorers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (folder / "acting_scorers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    forget()


def forget() -> None:
    """Look for entry points again."""
    registry.names.cache_clear()
    registry.scorer.cache_clear()
    run.prepared.cache_clear()
