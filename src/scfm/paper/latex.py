"""A table as LaTeX: booktabs over as many pages as it takes, wide ones in parts, everything escaped."""

import re
from collections.abc import Sequence

import pandas as pd

PACKAGES = "% Needs \\usepackage{booktabs,longtable,array,caption,textcomp}."
LINE = 118
"""Letters that a line holds at this size, at 1 in to 1.2 in of margin on A4."""
LONG = 34
"""Letters from which on a column is broken into lines."""
SPECIAL = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
}
SYMBOLS = {
    "−": "$-$",
    "±": "$\\pm$",
    "→": "$\\rightarrow$",
    "≥": "$\\geq$",
    "≤": "$\\leq$",
    "×": "$\\times$",
    "⅔": "$2/3$",
    "²": "$^2$",
    "†": "\\textdagger{}",
    "‡": "\\textdaggerdbl{}",
    "§": "\\textsection{}",
    "–": "--",
    "—": "---",
    "…": "\\ldots{}",
    "’": "'",
    "\u00a0": "~",
}
"""Letters that pdfLaTeX does not know by themselves; accented ones it does."""


def escape(text: str) -> str:
    """A text in which LaTeX finds nothing to interpret, on one line."""
    return "".join(SPECIAL.get(letter) or SYMBOLS.get(letter, letter) for letter in " ".join(text.split()))


def latex_caption(text: str) -> str:
    """A caption in reStructuredText as LaTeX."""
    from docutils.core import publish_parts

    safe = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    safe |= {"use_latex_citations": False, "legacy_column_widths": False}
    body = publish_parts(text, writer="latex", settings_overrides=safe)["body"]
    body = "".join(SYMBOLS.get(letter, letter) for letter in " ".join(body.split()))
    return re.sub(r"\\DUroletitlereference", r"\\emph", body)


def latex_table(table: pd.DataFrame, numeric: Sequence[bool], caption: str, name: str) -> str:
    """The table as one longtable or, if it is too wide for a page, as several that all begin with the columns that tell
    the rows apart.

    Args:
        table: texts.
        numeric: for each column, whether it stands on the right.
        caption: in reStructuredText.
        name: for the label `tab:<name>`.
    """
    texts = [
        [escape(str(column).replace("_", " ")) for column in table],
        *(map(_breakable, row) for row in table.values),
    ]
    texts = [list(row) for row in texts]
    widths = [max(len(str(value)) for value in (column, *table[column])) for column in table]
    parts = [_part(texts, widths, numeric, columns) for columns in _split(widths, _keys(table))]
    said = [f"\\caption*{{{latex_caption(caption)}}}\\label{{tab:{name}}}\\\\"]
    said += ["\\caption*{(continued: further columns)}\\\\"] * (len(parts) - 1)
    tables = [part.replace("CAPTION", words, 1) for part, words in zip(parts, said, strict=True)]
    return "\n".join([PACKAGES, "{\\scriptsize\\setlength{\\tabcolsep}{3pt}", *tables, "}", ""])


def _breakable(text: str) -> str:
    """The text, escaped, with places where a long address may be broken."""
    long = any(len(word) > LONG for word in str(text).split())
    return re.sub(r"([/=-])(?=\w)", r"\1\\allowbreak{}", escape(text)) if long else escape(text)


def _keys(table: pd.DataFrame) -> int:
    """How many of the first columns it takes to tell the rows apart; one if three do not."""
    unique = (number for number in range(1, 4) if not table.iloc[:, :number].duplicated().any())
    return min(next(unique, 1), table.shape[1])


def _split(widths: Sequence[int], keys: int) -> list[list[int]]:
    """Columns of each part: as many as a line holds, the first ones in every part."""
    shown = [min(width, LONG) + 2 for width in widths]
    parts = [list(range(keys))]
    for number in range(keys, len(widths)):
        if len(parts[-1]) > keys and sum(shown[i] for i in parts[-1]) + shown[number] > LINE:
            parts.append(list(range(keys)))
        parts[-1].append(number)
    return parts


def _part(texts: list[list[str]], widths: Sequence[int], numeric: Sequence[bool], columns: Sequence[int]) -> str:
    """One longtable, its caption still to be set."""
    kinds = ["r" if numeric[i] else "l" if widths[i] <= LONG else "p{4.2cm}" for i in columns]
    head, *rows = ([row[i] for i in columns] for row in texts)
    lines = [f"\\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}", "CAPTION", "\\toprule"]
    lines += [" & ".join(head) + " \\\\", "\\midrule", "\\endhead", "\\bottomrule", "\\endfoot"]
    lines += [" & ".join(row) + " \\\\" for row in rows]
    return "\n".join([*lines, "\\end{longtable}"])
