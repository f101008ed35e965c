"""The standard suites with their datasets: definitions in suites.yaml, cases in data/."""
