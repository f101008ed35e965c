"""A model endpoint that answers by a script: for tests, benches and the demo."""
