"""The commands `rheostat ab ...` over several A/B tests."""

from typing import Annotated

import typer
from rich.console import Console

from agents.policy.discoveries import Procedure
from infra import configuration, logs
from infra.errors import OperatorError

console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("discoveries")(discoveries)
    app.command("evidence")(evidence)


def discoveries(
    org: Annotated[
        str | None, typer.Option("--org", help="The organisation, where several have tests.")
    ] = None,
    q: Annotated[
        float,
        typer.Option("--q", min=1e-6, max=0.999, help="Share of discoveries that may be false."),
    ] = 0.05,
    procedure: Annotated[
        Procedure, typer.Option(help="lord: only of tests that share no units or calls.")
    ] = "e-lond",
    as_json: AsJson = False,
) -> None:
    """Show which of all A/B tests found a difference, when so many were made.

    Of twenty tests without any difference, one is below 0.05 by chance. Here every test, in the
    order in which it began, gets a level so that of all discoveries a share of at most q is
    expected to be false. e-lond holds however tests depend on each other; lord needs tests that
    are independent of each other.

    Examples:

        rheostat ab discoveries

        rheostat ab discoveries --org acme --q 0.1 --json | jq .tests
    """
    from api.ab_evidence import discoveries_body
    from infra.ab_many import everything
    from infra.ab_many_show import discoveries_lines
    from infra.evaluation_session import print_json

    logs.configure("ERROR")
    org_id, found = everything(configuration.read(), org)
    body = discoveries_body(org_id, q, procedure, found)
    if as_json:
        print_json(body.model_dump())
        return
    for line in discoveries_lines(body):
        console.print(line)


def evidence(
    ab_test: Annotated[str, typer.Argument(metavar="ID", help="The A/B test.")],
    other: Annotated[
        str, typer.Option("--with", metavar="OTHER", help="The test to combine it with.")
    ],
    metric: Annotated[
        str | None, typer.Option(help="Default: every metric that both compare.")
    ] = None,
    independent: Annotated[
        bool | None,
        typer.Option(
            "--independent/--dependent",
            help="Whether they rest on different units and cases. Default: found out.",
        ),
    ] = None,
    org: Annotated[
        str | None, typer.Option("--org", help="Their organisation, where several have such tests.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the evidence of two tests of the same comparison together.

    As of an offline test of a model on cases, and the online one after it. Their e-values are
    multiplied where they are independent (offline and online, or one after the other), and averaged
    otherwise. Both need the same model against the same baseline model.

    Examples:

        rheostat ab evidence prompt-7 --with prompt-7-cases

        rheostat ab evidence prompt-7 --with prompt-6 --metric quality --json
    """
    from api.ab_evidence import evidence_body
    from infra.ab_many import together
    from infra.ab_many_show import evidence_lines
    from infra.evaluation_session import print_json

    logs.configure("ERROR")
    if other == ab_test:
        raise OperatorError(f"{other} is the test itself: name another one of the same comparison.")
    found = together(configuration.read(), (ab_test, other), org, metric, independent)
    if as_json:
        print_json(evidence_body(ab_test, other, found).model_dump())
        return
    for line in evidence_lines(ab_test, other, found):
        console.print(line)
