"""Our stand-in for WasenderAPI: the real paths, envelopes, casing, limits, faults and webhooks, on this
machine.
"""

from gateway.wasender.simulator.clock import Clock, Timer
from gateway.wasender.simulator.settings import ReplyCodes, SimulatorSettings
from gateway.wasender.simulator.simulator import Simulator

__all__ = ["Clock", "ReplyCodes", "Simulator", "SimulatorSettings", "Timer"]
