"""Tables for terminals and pipes of any width."""

from rich import box
from rich.table import Table


def whole(table: Table, *uncut: str) -> Table:
    """The same table, narrow; what does not fit goes on below, and nothing is cut.

    `uncut`: headers of columns whose texts stay on one line where there is room at all.
    """
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header in uncut
    return _slim(table)


def narrow(*headers: str, wraps: int = 1) -> Table:
    """For two lines a row, so that at 80 columns no digit is cut; the first columns may wrap."""
    table = Table(*headers)
    for column in table.columns[:wraps]:
        column.overflow = "fold"
    for column in table.columns[wraps:]:
        column.no_wrap = True
    return _slim(table)


def _slim(table: Table) -> Table:
    table.box, table.padding, table.show_edge = box.HORIZONTALS, (0, 1, 0, 0), False
    return table
