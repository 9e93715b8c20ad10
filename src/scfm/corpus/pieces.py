"""Parquet tables written and read piece by piece, so that no more than a piece is in memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def write_pieces(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Function that adds rows to a new table; the first ones give the columns and their types.

    Without any call there is no file.
    """
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None

        def add(rows: pd.DataFrame) -> None:
            nonlocal writer
            table = pa.Table.from_pandas(rows, schema=writer and writer.schema, preserve_index=False)
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)

        yield add


def read_pieces(path: Path, sizes: Iterable[int]) -> Iterator[pd.DataFrame]:
    """So many rows of a table, then as many as the next size says; fewer where the table ends."""
    with pq.ParquetFile(path) as file:
        groups = map(file.read_row_group, range(file.num_row_groups))
        held = file.schema_arrow.empty_table()
        for size in sizes:
            while held.num_rows < size and (group := next(groups, None)) is not None:
                held = pa.concat_tables([held, group])
            yield held.slice(0, size).to_pandas()
            held = held.slice(size)
