"""The Accept header: which of several media types an answer is given as (RFC 9110, 12.5.1)."""

from collections.abc import Iterable, Sequence


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The media type of `offered` (ours first) that the header likes best; of several that it likes
    alike, the one it names first, and for a wildcard the first of ours. None: it takes none."""
    for media in _by_quality(accept or "*/*"):
        for ours in offered:
            if media in (ours, f"{ours.partition('/')[0]}/*", "*/*"):
                return ours
    return None


def _by_quality(accept: str) -> Iterable[str]:
    """The media ranges, best first; those of quality 0 are refused and left out."""
    found = []
    for part in accept.split(","):
        media, *parameters = (text.strip().lower() for text in part.split(";"))
        quality = next((_number(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if quality > 0:
            found.append((quality, media))
    return [media for _, media in sorted(found, key=lambda each: -each[0])]


def _number(text: str) -> float:
    """What cannot be read counts as 1, as if it were not there."""
    try:
        return float(text)
    except ValueError:
        return 1.0
