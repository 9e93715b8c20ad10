"""The one fault of a file that another reading would not have."""

from scfm.errors import ScfmError


class NotInFile(ScfmError):
    """A file is what it should be, but does not hold what a rule or a reading of the rules asks."""
