"""Which media type a header asks for."""

import pytest

from api.accepts import preferred

OFFERED = ("application/json", "text/csv", "application/vnd.apache.arrow.stream")


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/*", "text/csv"),
        ("Text/CSV; charset=utf-8", "text/csv"),
        ("text/csv, application/json", "text/csv"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/html, text/csv;q=0.9, */*;q=0.1", "text/csv"),
        ("text/csv;q=0, */*;q=0.1", "application/json"),
        ("text/csv;q=high", "text/csv"),
        ("image/png, text/html", None),
    ],
)
def test_the_best_that_both_sides_know(accept: str, found: str | None) -> None:
    assert preferred(accept, OFFERED) == found
