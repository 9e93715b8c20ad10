"""External files: fetched from an installed package, a mirror folder or by URL, verified, recorded.

Public: `Resource`, `Record`, `read_resources`, `read_record`.
"""

from scfm.resources.manifest import read_record
from scfm.resources.settings import Record, Resource, read_resources

__all__ = ["Record", "Resource", "read_record", "read_resources"]
