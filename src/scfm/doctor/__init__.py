"""What this machine has, and what is missing for which study; reads and asks, changes nothing, needs no network.

Public: `examine`, `as_text`.
"""

from scfm.doctor.examine import Findings, as_text, examine

__all__ = ["Findings", "as_text", "examine"]
