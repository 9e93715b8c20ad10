"""Tables, verdicts on the paper's claims and the report, made from tidy results alone.

Public face: `scfm.paper.settings.Paper`, `scfm.paper.tidy.COLUMNS` and the commands of `scfm paper`.
"""

from scfm.paper.settings import Paper

__all__ = ["Paper"]
