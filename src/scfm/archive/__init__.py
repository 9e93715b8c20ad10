"""Results of a study with all that they stem from, in one file; unpacked in a clone, nothing reruns.

Public: `pack`, `Request`, `workflow_digest`.
"""

from scfm.archive.pack import Request, pack
from scfm.archive.workflow import workflow_digest

__all__ = ["Request", "pack", "workflow_digest"]
