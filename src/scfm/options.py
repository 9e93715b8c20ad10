"""Options of the form NAME=VALUE, given several times."""

from pathlib import Path

from scfm.errors import ScfmError


def named(items: list[str], option: str) -> dict[str, Path]:
    """`NAME=PATH` texts as a mapping, in their order.

    Raises:
        ScfmError: a text has another form, or a name occurs twice.
    """
    found: dict[str, Path] = {}
    for item in items:
        name, equals, path = item.partition("=")
        if not (name and equals and path):
            raise ScfmError(f"{option}: {item!r} has the wrong form; write NAME=PATH")
        if name in found:
            raise ScfmError(f"{option}: the name {name!r} occurs twice; give it once")
        found[name] = Path(path)
    return found


def by_run_and_seed(items: list[str], option: str) -> dict[tuple[str, str], Path]:
    """`RUN/SEED=PATH` texts as a mapping.

    Raises:
        ScfmError: a text has another form, or a run and seed occur twice.
    """
    found = {}
    for name, path in named(items, option).items():
        run, slash, seed = name.rpartition("/")
        if not (run and slash and seed):
            raise ScfmError(f"{option}: {name!r} has the wrong form; write RUN/SEED=PATH")
        found[run, seed] = path
    return found
