"""Write the tables and figures of one analysis into a folder."""

from pathlib import Path

from scfm.files import whole, write_json
from scfm.learnability import FILES
from scfm.learnability.analysis import Analysis
from scfm.learnability.figures import scatter
from scfm.learnability.interactive import scatter_page
from scfm.learnability.settings import Learnability


def write(analysis: Analysis, settings: Learnability, folder: Path) -> list[str]:
    """Write every file of `FILES` that the analysis has; files of those it lacks, left by another one, go.

    Returns:
        The files written.
    """
    pictures = {"scatter": scatter, "scatter_page": scatter_page}
    written = []
    for name, file in FILES.items():
        path = folder / file
        if name in pictures:
            pictures[name](analysis.genes, analysis.summary, settings, path)
        elif name == "summary":
            write_json(path, analysis.summary)
        elif (table := getattr(analysis, name)) is None:
            path.unlink(missing_ok=True)
            continue
        else:
            with whole(path) as temporary:
                table.to_parquet(temporary, index=False) if path.suffix == ".parquet" else table.to_csv(
                    temporary, index=False
                )
        written.append(file)
    return written
