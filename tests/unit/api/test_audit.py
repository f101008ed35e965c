"""The audit's access and its answer without ClickHouse; its rows are tested on a real one."""

from tests.support.api import Api
from tests.support.entities import MODEL


def test_history_is_of_what_one_may_see_and_commands_are_for_admins() -> None:
    api = Api(MODEL)
    for role, status in (("admin", 503), ("viewer", 404)):
        answer = api.client(role).get("/audit/history/", params={"key": MODEL.key})  # type: ignore[arg-type]
        assert answer.status_code == status, "the model is private"
    away = api.client("admin").get("/audit/commands/")
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert api.client("editor").get("/audit/commands/").status_code == 403
    stranger = api.client("admin", "beta")
    assert stranger.get("/audit/history/", params={"key": MODEL.key}).status_code == 404
    assert stranger.get("/audit/commands/", params={"org_id": "acme"}).status_code == 404
