"""The gate: nothing is published that it has not read whole, and nothing that it has a finding about."""

from mirror.core.gate.judge import check
from mirror.core.gate.values import ALLOWABLE, OF_OTHERS, Bounds, Expected, Judgement, Layout, remedy

__all__ = ["ALLOWABLE", "OF_OTHERS", "Bounds", "Expected", "Judgement", "Layout", "check", "remedy"]
