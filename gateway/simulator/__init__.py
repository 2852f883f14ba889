"""Our stand-in for WasenderAPI: the real paths, envelopes, casing, limits, faults and webhooks, on this
machine.
"""

from gateway.simulator.app import Simulator
from gateway.simulator.clock import Clock, Timer
from gateway.simulator.settings import ReplyCodes, SimulatorSettings

__all__ = ["Clock", "ReplyCodes", "Simulator", "SimulatorSettings", "Timer"]
