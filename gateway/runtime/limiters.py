"""How much one caller may ask for: of connections, of requests, of memory."""

from gateway.http.limits import RequestLimits
from gateway.realtime.transport.guard import Guard
from gateway.services.addresses import TrustedProxies
from gateway.services.body_budget import BodyBudget
from gateway.services.rates import Rates
from gateway.services.refusals import Refusals
from gateway.settings import Settings


class Limiters:
    """`guard` holds connections to the limits, `rates` persons, `requests` what they ask for."""

    def __init__(self, settings: Settings) -> None:
        refusals = Refusals()
        self.guard = Guard(settings.limits, TrustedProxies(settings.trusted_proxies), refusals)
        self.rates = Rates(settings.limits, refusals)
        self.requests = RequestLimits(self.rates, BodyBudget(settings.limits, refusals), refusals)
