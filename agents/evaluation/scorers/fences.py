"""Code and JSON out of the prose and fences that models wrap them in."""

import re

FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*$", re.MULTILINE)


def blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks (CommonMark 4.5) as (language in lower case or '', content), in order.

    A block that is never closed goes to the end of the text, as it does where an answer was cut.
    """
    found = []
    start: tuple[str, str, int] | None = None
    for match in FENCE.finditer(text):
        mark, language = match[1], match[2].lower()
        if start is None:
            start = mark, language, match.end() + 1
        elif mark[0] == start[0][0] and len(mark) >= len(start[0]) and not language:
            found.append((start[1], text[start[2] : match.start()]))
            start = None
    if start is not None:
        found.append((start[1], text[start[2] :]))
    return found


def code(text: str, languages: frozenset[str]) -> str:
    """The code of an answer: its blocks of these languages joined, else blocks of no language, else
    the whole text.
    """
    all_blocks = blocks(text)
    for wanted in (languages, frozenset({""})):
        chosen = [content for language, content in all_blocks if language in wanted]
        if chosen:
            return "\n".join(chosen)
    return text
