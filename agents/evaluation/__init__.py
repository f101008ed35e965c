"""The evaluation engine: suites and datasets, planner, runner, scorers and results."""
