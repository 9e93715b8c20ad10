"""The housekeeping genes of Eisenberg and Levanon (2013)."""

import re
from pathlib import Path

from scfm.errors import ScfmError
from scfm.reading import reading

SYMBOL = re.compile(r"[A-Za-z0-9][\w.@/-]*")


def read_housekeeping(path: Path) -> list[str]:
    """Read HK_genes.txt: one gene a line, the symbol first, a RefSeq transcript after it.

    Raises:
        ScfmError: the file is missing, not text, empty, or begins a line with what is no symbol.
    """
    with reading(path, "housekeeping", "text with one gene symbol a line"):
        symbols = [line.split()[0] for line in Path(path).read_text().splitlines() if line.strip()]
    if not symbols:
        raise ScfmError(f"{path}: holds no gene; expected one gene symbol a line")
    wrong = next((symbol for symbol in symbols if not SYMBOL.fullmatch(symbol)), None)
    if wrong:
        raise ScfmError(f"{path}: '{wrong[:40]}' is no gene symbol; expected one gene symbol a line")
    return list(dict.fromkeys(symbols))
