"""Whether the code of an answer passes the case's tests, executed in a sandbox."""

import ast
import re
from typing import Literal

from pydantic import Field

from agents.evaluation.sandbox.execute import (
    Execution,
    Limits,
    SandboxUnavailable,
    Task,
    execute,
)
from agents.evaluation.scorers.base import Absent, Fields, Found, Options, Scorer, references
from agents.evaluation.scorers.fences import code

PYTHON = frozenset({"python", "py", "python3"})


class ExecutionOptions(Options):
    """Names of the case's fields, and limits. `entry_point` and `prompt` may be missing in a case.

    `prompt`: the start of the program that was to be completed, as in HumanEval.
    """

    tests: str = "test"
    prompt: str = "prompt"
    entry_point: str = "entry_point"
    timeout_s: float = Field(10.0, gt=0, le=120)
    memory_mb: int = Field(512, ge=64, le=8192)
    isolation: Literal["separate", "shared"] = Field(
        "separate",
        description="shared: program and tests in one process; any object can pass between them, "
        "and a hostile program can fake its verdict",
    )
    containment: Literal["strict", "limits"] = Field(
        "strict",
        description="limits: where namespaces are not allowed, execute without them; the network "
        "and what the user nobody may read are then within reach",
    )


def score(answer: str, fields: Fields, options: ExecutionOptions) -> Found | Absent:
    """1 when all tests pass, else 0; the label says how it ended."""
    tests = references(fields, options.tests)
    if isinstance(tests, Absent):
        return tests
    entry = fields.get(options.entry_point)
    task = Task(
        program(code(answer, PYTHON), fields.get(options.prompt), entry),
        "\n".join(tests),
        entry if isinstance(entry, str) else None,
        shared=options.isolation == "shared",
    )
    limits = Limits(wall_s=options.timeout_s, memory_bytes=options.memory_mb << 20)
    try:
        return verdict(execute(task, limits, strict=options.containment == "strict"))
    except SandboxUnavailable as why:
        return Absent(
            f"the code was not executed, as no sandbox can be made here: {why}. Allow unprivileged "
            "user namespaces, or set containment to 'limits' (docs/scorers.md says what that risks)"
        )


def verdict(found: Execution) -> Found | Absent:
    """1 or 0, or that the tests themselves cannot judge."""
    match found.verdict:
        case "passed":
            return Found(1.0, "passed")
        case "bad tests":
            return Absent(f"the case's tests do not compile: {found.text}")
        case "not plain":
            return Absent(
                f"the case's tests hand over something that cannot pass between processes: "
                f"{found.text}. Set isolation to 'shared'"
            )
    return Found(0.0, found.verdict, found.text)


def program(written: str, prompt: object, entry_point: object) -> str:
    """The whole program: what was written, behind the prompt where it needs it.

    A prompt that is code which defines the entry point gives imports and helpers; what was written
    may define the entry point again, or go on where the prompt ends.
    """
    if not isinstance(prompt, str) or not isinstance(entry_point, str):
        return written
    if not _defines(prompt, entry_point):
        return written
    if _defines(written, entry_point):
        return f"{prompt}\n{written}" if _compiles(f"{prompt}\n{written}") else written
    return f"{prompt}{written}" if _compiles(f"{prompt}{written}") else f"{prompt}\n{written}"


def _defines(source: str, name: str) -> bool:
    pattern = rf"^\s*(?:(?:async\s+)?def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*="
    return re.search(pattern, source, re.MULTILINE) is not None


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


CODE_EXECUTION = Scorer(
    "code_execution", "1", ExecutionOptions, score, time_limit_s=lambda o: o.timeout_s + 30
)
