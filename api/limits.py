"""How much one caller may ask for: requests a second, and bytes a request."""

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.problems import Problem, retry_after


class Rate:
    """A rate such as 300/second for each of many names, counted in this process. '': no limit."""

    def __init__(self, rate: str) -> None:
        """Raises ValueError when the text is no rate."""
        self._item: RateLimitItem | None = parse(rate) if rate else None
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def spend(self, name: str) -> None:
        """Counts a request. Raises Problem 429 when it is one too many."""
        if self._item is not None and not self._limiter.hit(self._item, name):
            raise _too_many(self._item)

    def require(self, name: str) -> None:
        """Raises Problem 429 when nothing is left, without counting."""
        if self._item is not None and not self._limiter.test(self._item, name):
            raise _too_many(self._item)


def _too_many(item: RateLimitItem) -> Problem:
    detail = f"more than {item.amount} requests in {item.get_expiry()} s: wait, then send it again"
    return Problem(429, "too-many-requests", detail, headers=retry_after(item.get_expiry()))
