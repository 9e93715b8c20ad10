"""The one exception that users see as a sentence instead of a traceback."""


class ScfmError(Exception):
    """Bad input: one sentence that names the file, column or key, what was expected and what to do."""
