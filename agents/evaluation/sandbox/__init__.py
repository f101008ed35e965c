"""Executes code that nobody has read, and says whether it passes tests. docs/scorers.md states what
it contains and what it does not; docs/decisions/0019 why it is as it is.

    execute     starts the processes, waits, kills, and says what came of it
    launcher    what such a process does first: shuts itself in
    roles       what it does then: the program's side, and the side of the tests
    plain       values that pass between the two sides: data, never code
"""
