"""python -m infra.grafana: writes the dashboards and docs/dashboards.md of this checkout again."""

from pathlib import Path

from rich.console import Console

from infra.grafana.render import write

if __name__ == "__main__":
    for path in write(Path.cwd()):
        Console().print(f"written {path}", highlight=False)
