"""Value filters on a table pass the rows that TileDB-SOMA passes."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tiledbsoma as soma

from scfm.corpus.soma import reading_context
from scfm.corpus.value_filter import passing, refuse_not
from scfm.errors import ScfmError

TABLE = pd.DataFrame(
    {
        "soma_joinid": np.arange(6),
        "tissue": ["blood", "lung", "lung", "gut", "blood", "unknown"],
        "assay": ["10x 3' v3", "10x 3' v2", "Smart-seq2", "10x 3' v3", "Drop-seq", "10x 3' v3"],
        "is_primary_data": [True, True, False, True, False, True],
        "x": [0.5, 1.5, -2.0, 3.0, 4.0, 5.0],
    }
)
FILTERS = [
    "tissue == 'blood'",
    "tissue != 'blood'",
    "'lung' == tissue",
    "is_primary_data == True",
    "is_primary_data != True",
    "tissue in ['blood', 'gut']",
    "tissue not in ['blood', 'gut']",
    "tissue == 'blood' and is_primary_data == True",
    "tissue == 'blood' or assay == 'Smart-seq2' and is_primary_data == False",
    "(tissue == 'blood') & (x > 1) | (tissue == 'lung')",
    "not tissue == 'blood'",
    "x < -1",
    "1 <= soma_joinid < 4",
    'assay == "10x 3\' v3"',
    "tissue > 'gut'",
]


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    table = pa.Table.from_pandas(TABLE, preserve_index=False).replace_schema_metadata(None)
    fields = [pa.field(f.name, pa.large_string() if pa.types.is_string(f.type) else f.type) for f in table.schema]
    uri = str(tmp_path_factory.mktemp("frame") / "obs")
    with soma.DataFrame.create(uri, schema=pa.schema(fields), domain=[[0, 5]]) as written:
        written.write(table.cast(pa.schema(fields)))
    with soma.open(uri, context=reading_context()) as opened:
        yield opened


def test_no_filter_passes_all():
    assert passing(TABLE, "").all()


@pytest.mark.parametrize("value_filter", FILTERS)
def test_as_tiledb_reads_it(frame, value_filter):
    expected = frame.read(value_filter=value_filter, column_names=["soma_joinid"]).concat()["soma_joinid"].to_pylist()
    assert TABLE["soma_joinid"][passing(TABLE, value_filter)].tolist() == expected
    assert 0 < len(expected) < 6


NEGATIONS = {
    "not (tissue == 'blood' or x >= 3.0)": [1, 2],
    "not (tissue == 'lung' and x < 0)": [0, 1, 3, 4, 5],
    "not tissue in ['blood', 'lung']": [3, 5],
    "not (not tissue == 'gut')": [3],
}


@pytest.mark.parametrize("value_filter", NEGATIONS)
def test_negations_that_tiledb_cannot_read(value_filter):
    # TileDB-SOMA ends the process there, so that a SOMA must not be asked.
    assert TABLE["soma_joinid"][passing(TABLE, value_filter)].tolist() == NEGATIONS[value_filter]
    with pytest.raises(ScfmError, match="negates more than one comparison"):
        refuse_not(value_filter)


@pytest.mark.parametrize("value_filter", ["", "tissue ==", *FILTERS])
def test_filters_that_tiledb_may_be_asked(value_filter):
    refuse_not(value_filter)


@pytest.mark.parametrize(
    ("value_filter", "message"),
    [
        ("tisue == 'blood'", "no column 'tisue' among soma_joinid, tissue"),
        ("tissue = 'blood'", "not an expression"),
        ("tissue ==", "not an expression"),
        ("tissue == 3", "holds text"),
        ("x == 'a'", "holds no text"),
        ("tissue in ['blood', 3]", "holds text"),
        ("tissue", "is no comparison"),
        ("tissue == assay", "one column and one constant"),
        ("1 == 1", "one column and one constant"),
        ("tissue == open('x')", "malformed"),
        ("x + 1 > 2", "one column and one constant"),
        ("tissue == 'a' & x > 1", "one column and one constant|malformed"),
        ("tissue is 'blood'", "'is' does not compare"),
        ("tissue == ['blood']", "need a column and a list"),
        ("tissue in 'blood'", "need a column and a list"),
        ("__import__('os')", "is no comparison"),
    ],
)
def test_what_it_cannot_say_is_a_sentence(value_filter, message):
    with pytest.raises(ScfmError, match=message) as raised:
        passing(TABLE, value_filter)
    assert str(raised.value).startswith("corpus.source.value_filter")
    assert "\n" not in str(raised.value)
