"""The planner of evaluation runs: requests and results in, cases and states of runs out."""
