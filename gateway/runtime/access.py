"""Who may come in, put together: tokens, logins, people, what was revoked, and the names we answer to."""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Protocol
from urllib.parse import urlsplit

from gateway.domain.access import Principal
from gateway.domain.errors import ConfigError
from gateway.runtime.data_dir import MIN_SECRET_BYTES
from gateway.runtime.jwks import Jwks
from gateway.runtime.repositories import Repositories
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.login import Login
from gateway.services.auth.login_cookie import LoginCookie
from gateway.services.auth.logins import Logins
from gateway.services.auth.origins import Hosts, Origins
from gateway.services.auth.passwords import Passwords
from gateway.services.auth.people import People
from gateway.services.auth.revocations import Revocations
from gateway.services.auth.supabase_keys import SupabaseKeys
from gateway.services.auth.throttle import LoginThrottle
from gateway.services.auth.token_reader import TokenRules
from gateway.settings import Settings

logger = logging.getLogger(__name__)


class Work(Protocol):
    """Something that runs as long as the gateway does."""

    async def run(self) -> None:
        """Goes on until it is cancelled."""


class Access:
    """Everything that decides who may come in. `revocations` must be opened before anything is served."""

    def __init__(
        self,
        settings: Settings,
        secret: str,
        repositories: Repositories,
        jwks: Jwks | None,
        *,
        is_cut_off: Callable[[], bool],
    ) -> None:
        """`is_cut_off` says whether a notification of a change may go unheard."""
        self._jwks = jwks
        rules = token_rules(settings, secret)
        people, passwords = repositories.people, Passwords()
        self.log = AccessLog(people)
        self.revocations = Revocations(people, is_cut_off=is_cut_off)
        self.login = Login(
            secret, repositories.credentials, rules=rules, keys=jwks, revocations=self.revocations
        )
        self.keys = SupabaseKeys(
            secret, settings.supabase_jwt_secret, rules=rules, keys=jwks, revocations=self.revocations
        )
        self.logins = Logins(self.login, people, people, passwords, LoginThrottle(), self.log)
        self.people = People(people, passwords, self.log)
        self.cookie = LoginCookie(repositories.installation, settings.public_url)
        self.hosts = Hosts(settings.host, settings.public_url, settings.allowed_origins)
        self.origins = Origins(settings.allowed_origins, settings.public_url, self.hosts)
        self.is_https = self.cookie.is_secure("http")
        self.prefix = urlsplit(settings.public_url or "").path.rstrip("/")

    def works(self) -> dict[str, Work]:
        """What runs as long as the gateway does, by name."""
        works: dict[str, Work] = {"access": self.revocations, "access log": self.log, "logins": self.logins}
        return works if self._jwks is None else {**works, "jwks": self._jwks}

    def current(self, principal: Principal) -> Principal:
        """The principal with the rights it has now. Raises Unauthenticated if its login has been ended."""
        return self.revocations.current(principal)


def token_rules(settings: Settings, secret: str) -> TokenRules:
    """Which tokens this gateway takes. A secret before this one that can be guessed opens what is stored, no login."""
    previous = settings.secret_previous
    if previous and not settings.is_loopback and len(previous.encode()) < MIN_SECRET_BYTES:
        logger.warning("secret.previous_too_short logins=refused least_bytes=%d", MIN_SECRET_BYTES)
        previous = None
    return TokenRules(secret, previous, settings.jwt_issuer, settings.jwt_audience)


async def open_jwks(settings: Settings, stack: AsyncExitStack) -> Jwks | None:
    """Keys of the shop's identity provider, if there is one. Raises ConfigError where that is not safe."""
    if settings.jwks_url is None:
        if settings.jwt_issuer or settings.jwt_audience:
            raise ConfigError(
                "GATEWAY_JWT_ISSUER and GATEWAY_JWT_AUDIENCE are of use with GATEWAY_JWKS_URL only. Set it, or "
                "remove them."
            )
        return None
    if not (settings.jwt_issuer or settings.jwt_audience):
        raise ConfigError(
            "GATEWAY_JWKS_URL needs GATEWAY_JWT_ISSUER or GATEWAY_JWT_AUDIENCE: a provider signs tokens for others "
            "with the same keys."
        )
    return await stack.enter_async_context(Jwks(settings.jwks_url))
