"""Gene annotation: the functional family and the expression program of every gene of a vocabulary.

Public: `AnnotationSettings`, `read_settings`, `annotate`, `Files`.
"""

from scfm.annotation.settings import AnnotationSettings, read_settings

__all__ = ["AnnotationSettings", "Files", "annotate", "read_settings"]


def __getattr__(name: str) -> object:
    # pandas is imported only by those who annotate, not by those who validate settings.
    if name in ("Files", "annotate"):
        from scfm.annotation import genes as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
