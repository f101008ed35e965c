"""From nothing to a measured, explained choice between two models, in one file.

    rheostat up                                                  # in another terminal
    rheostat keys create --org acme --role admin                 # prints a key once
    export RHEOSTAT_API_KEY=rheo_...
    pip install rheostat-client
    python quickstart.py

What it does: registers two models, an A/B test and a policy for `chat` by the REST API; serves
questions through the client package, which reports every call; then asks the API who should serve,
why, and what would have to change. The models are stand-ins: `large` is right more often, and dear.

RHEOSTAT_API_URL (default http://127.0.0.1:8080) and RHEOSTAT_KAFKA_BOOTSTRAP (default
127.0.0.1:9092) say where the stack is; the organisation is the key's own.
"""

import argparse
import json
import os
import random
import time
import urllib.error
import urllib.request
from typing import Any

from rheostat_client import Config, NotAssigned, Reporter, Rule, Selector, SelectorOptions

API = os.environ.get("RHEOSTAT_API_URL", "http://127.0.0.1:8080") + "/api/v1/evaluation"
CAPABILITY = "chat"
MODELS = {"small": ("2026-01", 0.70, 0.15, 0.6), "large": ("2026-03", 0.95, 2.5, 10.0)}
"""Version, how often it is right, USD per million input and output tokens."""


def call(method: str, path: str, body: Any = None) -> Any:
    """One request to the API; errors say what is wrong, field by field."""
    request = urllib.request.Request(
        API + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['RHEOSTAT_API_KEY']}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from None


def register(org_id: str) -> None:
    """Everything in one document, all or nothing; the same again changes nothing."""
    call(
        "POST",
        "/registry/import/",
        {
            "models": [
                {
                    "org_id": org_id,
                    "model_id": name,
                    "model_version": version,
                    "provider": "example",
                    "capabilities": [CAPABILITY],
                    "prices": [
                        {
                            "valid_from": "2026-01-01T00:00:00Z",
                            "input_usd_per_mtok": dollars_in,
                            "output_usd_per_mtok": dollars_out,
                        }
                    ],
                }
                for name, (version, _, dollars_in, dollars_out) in MODELS.items()
            ],
            "ab_tests": [
                {
                    "org_id": org_id,
                    "ab_test_id": "is-large-better",
                    "capability": CAPABILITY,
                    "unit": "user",
                    "arms": [{"arm": name, "model_id": name} for name in MODELS],
                    "baseline": "small",
                    "metrics": [{"metric": "quality", "role": "primary", "direction": "higher"}],
                    "status": "running",
                }
            ],
            "policies": [
                {
                    "org_id": org_id,
                    "capability": CAPABILITY,
                    "weights": {"quality": 1, "cost_usd": 0.2, "error": 1},
                    "scales": {"cost_usd": 0.01},
                    "min_samples": 50,
                    "window_minutes": 60,
                    "min_dwell_s": 1,
                    "fallback": list(MODELS),
                }
            ],
        },
    )


def serve(reporter: Reporter, selector: Selector, user: str, tested: bool) -> None:
    """One question: the A/B test or the present selection decides who answers it."""
    assignment = selector.assign("is-large-better", user) if tested else None
    if assignment is None or isinstance(assignment, NotAssigned):
        choice = selector.choose(CAPABILITY, unit_id=user)
        measured = reporter.inference(choice=choice, unit_id=user)
        model_id = choice.model_id
    else:
        measured = reporter.inference(assignment=assignment, unit_id=user)
        model_id = assignment.model_id or ""
    with measured as answer:  # stands for the request to the model
        answer.first_token()
        answer.usage(input_tokens=400, output_tokens=150)
        answer.quality(float(random.random() < MODELS[model_id][1]))


def wait_counted(calls: int, timeout_s: float) -> None:
    """Until the panes hold the calls: they are counted about a second after they came."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = call("POST", "/selection/ranked/", {"capability": CAPABILITY})
        if sum(candidate["samples"] for candidate in found["candidates"]) >= calls:
            return
        time.sleep(1)
    raise SystemExit(f"the calls were not counted within {timeout_s:g} s: see rheostat doctor")


def main() -> None:
    parser = argparse.ArgumentParser(description="The quick start of docs/quickstart.md.")
    parser.add_argument("--calls", type=int, default=400, help="questions to serve (default 400)")
    parser.add_argument("--wait", type=float, default=60, help="longest wait for counts, seconds")
    options = parser.parse_args()
    org_id = call("GET", "/me/")["org_id"]
    register(org_id)
    kafka = os.environ.get("RHEOSTAT_KAFKA_BOOTSTRAP", "127.0.0.1:9092")
    prefix = os.environ.get("RHEOSTAT_TOPIC_PREFIX", "")
    config = Config(org_id, kafka, topic_prefix=prefix)
    rules = {CAPABILITY: [Rule(name, version) for name, (version, *_) in MODELS.items()]}
    with (
        Reporter(config) as reporter,
        Selector(config, rules, SelectorOptions(snapshot_path=None)) as selector,
    ):
        selector.wait_ready(30)
        for number in range(options.calls):
            serve(reporter, selector, f"user-{number}", tested=number % 2 == 0)
        left = reporter.flush(30)
        print(f"reported {reporter.counts.delivered} calls, {left} still wait for Kafka")
    wait_counted(options.calls, options.wait)
    found = call("POST", "/selection/explain/", {"capability": CAPABILITY})
    print(found["reason"])
    for candidate in found["candidates"]:
        quality = candidate["quality"]
        shown = "not measured" if quality is None else f"quality {quality:.2f}"
        print(f"{candidate['rank']}. {candidate['model_id']}: {shown}")
        print(f"   {'; '.join(candidate['reasons'])}")
        if candidate["what_if"]:
            print(f"   to lead: {candidate['what_if']}")


if __name__ == "__main__":
    main()
