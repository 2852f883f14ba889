"""Who may come in, put together: tokens, logins, people, what was revoked, and the names we answer to."""

import logging
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg

from gateway.domain.access import Principal
from gateway.domain.errors import ConfigError
from gateway.postgres.auth.secret_check import compare_secret
from gateway.postgres.connection.listener import Listener
from gateway.runtime.context import BuildContext
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
from gateway.services.refusals import count_refused
from gateway.settings import Settings

logger = logging.getLogger(__name__)


class Access:
    """Everything that decides who may come in. `revocations` must be opened before anything is served."""

    def __init__(
        self, context: BuildContext, repositories: Repositories, jwks: Jwks | None, listener: Listener
    ) -> None:
        settings, secret = context.settings, context.secret
        self.jwks = jwks
        rules = token_rules(settings, secret)
        people, passwords = repositories.people, Passwords()
        self.access_log = AccessLog(people, count_refused)
        self.revocations = Revocations(
            people, is_cut_off=listener.is_cut_off, on_change=context.signals.access_changed
        )
        self.login = Login(
            secret, repositories.credentials, rules=rules, keys=jwks, revocations=self.revocations
        )
        self.keys = SupabaseKeys(
            secret, settings.supabase_jwt_secret, rules=rules, keys=jwks, revocations=self.revocations
        )
        self.logins = Logins(self.login, people, passwords, LoginThrottle(), self.access_log)
        self.people = People(people, passwords, self.access_log)
        self.cookie = LoginCookie(repositories.installation, settings.public_url)
        self.hosts = Hosts(settings.host, settings.public_url, settings.allowed_origins)
        self.origins = Origins(settings.allowed_origins, settings.public_url, self.hosts)
        self.is_https = self.cookie.is_secure("http")
        self.prefix = urlsplit(settings.public_url or "").path.rstrip("/")

    def current(self, principal: Principal) -> Principal:
        """The principal with the rights it has now. Raises Unauthenticated if its login has been ended."""
        return self.revocations.current(principal)


async def open_access(context: BuildContext, repositories: Repositories, listener: Listener) -> Access:
    """What lets people in. Raises ConfigError where the settings of an identity provider are not safe."""
    jwks = await open_jwks(context.settings, context.stack)
    return Access(context, repositories, jwks, listener)


async def check_secret(context: BuildContext, pool: asyncpg.Pool) -> None:
    """Says so if this gateway's secret is not the one of the others."""
    secret, previous = context.secret, context.settings.secret_previous
    match await compare_secret(pool, secret, previous, context.gateway_id):
        case "differs":
            logger.error(
                "secret.differs This gateway's GATEWAY_SECRET is not the one of the gateways that run on this "
                "database: neither takes the other's logins. Give all of them the same."
            )
        case "replaced":
            logger.warning(
                "secret.replaced GATEWAY_SECRET is another than last time: everybody has to log in again. If that "
                "was not meant, start with the old one, or give it as GATEWAY_SECRET_PREVIOUS."
            )


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
