"""Who a request comes from: its headers to a principal, or to the problem that says why not."""

from datetime import datetime

import structlog
from anyio import to_thread
from starlette.datastructures import Headers

from agents.access.authenticate import KeyRing, Rejected
from agents.access.authorise import Principal
from agents.errors import CommandRefused, Unavailable
from agents.registry.client import Sender
from api.limits import Rate
from api.oidc import KeysUnknown, TokenRefused, Verifier
from api.problems import Problem, unavailable
from api.services import Services
from streams.registry_view import RegistrySnapshot

RETRY_S = 5.0
log = structlog.get_logger(__name__)


class Gate:
    """One per app. Authenticates from memory; only OIDC tokens may need the network, for keys."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ring = KeyRing(services.view.snapshot)
        oidc = services.config.oidc
        self._verifier = None if oidc is None else Verifier(oidc)
        self._callers = Rate(services.config.rate_per_caller)
        self._strangers = Rate(services.config.rate_per_stranger)
        self._noted: dict[str, datetime] = {}
        self._loaded = False

    def registry(self) -> RegistrySnapshot:
        """The registry as it is now. Raises ViewNotLoaded until it was read once, ViewFailed."""
        if not self._loaded:
            self._services.view.wait_loaded(0)
            self._loaded = True
        return self._services.view.snapshot()

    async def admit(self, headers: Headers, address: str) -> Principal:
        """The caller. `address`: where the request comes from.

        Raises Problem: 401, 429, or 503 while nobody can be known.
        """
        self.registry()
        token = _token(headers)
        if token is None:
            found: Principal | Rejected = Rejected(
                "this takes an API key: Authorization: Bearer <key>, or X-API-Key: <key>"
            )
        elif token.count(".") == 2:
            found = await self._by_jwt(token)
        else:
            found = self._ring.by_token(token, self._services.clock())
        if isinstance(found, Rejected):
            self._strangers.spend(address)
            raise _not_authenticated(found.reason)
        self._callers.spend(found.name)
        self._note(found)
        return found

    async def _by_jwt(self, token: str) -> Principal | Rejected:
        if self._verifier is None:
            return Rejected("tokens of an OIDC provider are not accepted here: none is configured")
        try:
            subject = await to_thread.run_sync(self._verifier.subject, token)
        except TokenRefused as error:
            return Rejected(f"the token is not accepted: {error}")
        except KeysUnknown as error:
            raise unavailable(str(error), RETRY_S) from error
        return self._ring.by_subject(subject)

    def _note(self, caller: Principal) -> None:
        """Notes the use of a key, once in a while, without waiting; such a note may be lost."""
        now = self._services.clock()
        change = self._ring.note_of_use(caller, now)
        if change is None:
            self._noted.pop(caller.name, None)
            return
        noted = self._noted.get(caller.name)
        if noted is not None and (now - noted).total_seconds() < 60:
            return
        self._noted[caller.name] = now
        try:
            self._services.client.post([change], Sender(caller.name, caller.scope))
        except (CommandRefused, Unavailable) as error:
            log.warning("use of a key not noted", caller=caller.name, error=str(error))


def _token(headers: Headers) -> str | None:
    given = headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None
    return headers.get("x-api-key")


def _not_authenticated(reason: str) -> Problem:
    challenge = {"WWW-Authenticate": 'Bearer realm="rheostat"'}
    return Problem(401, "not-authenticated", reason, headers=challenge)
