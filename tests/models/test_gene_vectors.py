"""Given gene vectors: what is read from each kind of file, what is refused, and what the network does with them."""

import numpy as np
import pandas as pd
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.bmfm.gene_vectors import GivenVectors, read_gene_vectors, vectors_among
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.view import make_view

VOCABULARY = ["A1", "B2", "C3", "D4", "E5"]
IDS = ["ENSG00000000001", "ENSG00000000002", "", "ENSG00000000004", ""]
SYMBOLS = ["D4", "X9", "B2", "A1"]  # another order, one unknown, C3 and E5 absent
VECTORS = np.array([[1.0, 2.0, 2.0], [9.0, 9.0, 9.0], [0.0, 3.0, 4.0], [2.0, 0.0, 1.0]])


def write(path, symbols=SYMBOLS, vectors=VECTORS):
    if path.suffix == ".npz":
        np.savez(path, gene=np.array(symbols), vector=vectors)
        return path
    table = pd.DataFrame(vectors, columns=[f"d{i}" for i in range(np.shape(vectors)[1])])
    table.insert(min(1, table.shape[1]), "gene", symbols)
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz"])
def test_rows_come_in_the_order_of_the_vocabulary_and_at_unit_mean_square_length(tmp_path, suffix):
    given = read_gene_vectors(write(tmp_path / f"v{suffix}"), VOCABULARY, IDS)
    assert given.gene.tolist() == [0, 1, 3]
    expected = np.array([[2, 0, 1], [0, 3, 4], [1, 2, 2]]) / np.sqrt((5 + 25 + 9) / 3)
    np.testing.assert_allclose(given.vector, expected, rtol=1e-6)
    assert given.vector.dtype == torch.float32
    one = read_gene_vectors(str(write(tmp_path / f"one{suffix}", ["E5"], [[3.0, 4.0]])), VOCABULARY, IDS)
    assert one.gene.tolist() == [4]
    np.testing.assert_allclose(one.vector, [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz"])
def test_genes_may_go_by_their_ensembl_ids(tmp_path, suffix):
    by_symbol = read_gene_vectors(write(tmp_path / f"s{suffix}"), VOCABULARY, IDS)
    mixed = ["ENSG00000000004.7", "ENSG00000000009", "B2", "ENSG00000000001"]
    by_id = read_gene_vectors(write(tmp_path / f"i{suffix}", mixed), VOCABULARY, IDS)
    assert torch.equal(by_id.gene, by_symbol.gene)
    assert torch.equal(by_id.vector, by_symbol.vector)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npz"])
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"symbols": ["a1", "b2", "c3", "d4"]}, "none of its 4 genes is in the vocabulary .first: a1, b2, c3.; "),
        ({"symbols": ["A1", "B2", "A1", "C3"]}, "gene 'A1' has two vectors"),
        ({"symbols": ["A1", "B2", "D4", "ENSG00000000004"]}, "gene 'ENSG00000000004' has two vectors"),
        ({"symbols": ["A1", "B2", "ENSG00000000004.1", "ENSG00000000004.2"]}, "gene 'ENSG00000000004' has two vec"),
        ({"vectors": np.where(VECTORS == 9, np.nan, VECTORS)}, "vector of gene 'X9' holds a missing or infinite"),
        ({"vectors": np.where(VECTORS == 4, np.inf, VECTORS)}, "vector of gene 'B2' holds a missing or infinite"),
        ({"vectors": np.zeros((4, 3))}, "vectors of all genes of the vocabulary are 0"),
        ({"vectors": [["x"]] * 4}, "not readable as gene vectors"),
        ({"vectors": np.zeros((4, 0))}, r"vectors of shape \(4, 0\)"),
    ],
    ids=str,
)
def test_vectors_that_cannot_be_used_are_refused_in_a_sentence(tmp_path, suffix, keys, message):
    path = write(tmp_path / f"v{suffix}", **keys)
    with pytest.raises(ScfmError, match=message) as error:
        read_gene_vectors(path, VOCABULARY, IDS)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_table_of_vectors_is_refused_in_a_sentence(tmp_path):
    def refuse(name, message, content=b"\x00garbage"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ScfmError, match=message) as error:
            read_gene_vectors(path, VOCABULARY, IDS)
        assert "\n" not in str(error.value)

    refuse("absent.npz", "file of gene vectors .input.gene_vectors. not found", content=None)
    refuse("v.txt", "of unknown kind; expected a file named .parquet, .csv or .npz")
    for suffix in (".parquet", ".npz"):
        refuse(f"v{suffix}", "not readable as gene vectors")
    for suffix in (".parquet", ".csv", ".npz"):
        refuse(f"empty{suffix}", "not readable as gene vectors", content=b"")
    refuse("v.csv", "has no 'gene'", content=b"symbol,d0\nA1,1.0\n")
    np.savez(tmp_path / "named.npz", gene=np.array(SYMBOLS), vectors=VECTORS)
    refuse("named.npz", "has no 'vector'", content=None)
    np.savez(tmp_path / "short.npz", gene=np.array(SYMBOLS), vector=VECTORS[:2])
    refuse("short.npz", r"4 genes and vectors of shape \(2, 3\)", content=None)
    np.savez(tmp_path / "objects.npz", gene=np.array(SYMBOLS, object), vector=VECTORS)
    refuse("objects.npz", "not readable as gene vectors", content=None)  # a pickle


def given(genes, dimensions=6, seed=1):
    vector = torch.randn(len(genes), dimensions, generator=torch.Generator().manual_seed(seed))
    return GivenVectors(torch.tensor(genes), vector / vector.square().sum(1).mean().sqrt())


def settings_of(bmfm, trainable=False, objective="wced", **keys):
    return bmfm(objective, gene_vectors={"file": "v.csv", "trainable": trainable}, **keys)


def all_rows(network, genes, specials):
    return network.embedding.gene(torch.arange(genes + specials))


@pytest.mark.parametrize("trainable", [False, True])
def test_given_rows_are_projected_and_the_others_learnt(bmfm, trainable):
    vectors = given([0, 3, 4, 29])
    network = Network(settings_of(bmfm, trainable, heads=1), 30, torch.eye(2, dtype=torch.bool), 0, vectors)
    gene = network.embedding.gene
    assert gene.weight.shape == (30 - 4 + 2, 16)  # no row that nothing reads
    rows = all_rows(network, 30, 2)
    torch.testing.assert_close(rows[vectors.gene], vectors.vector @ gene.project.weight.T)
    others = [i for i in range(32) if i not in (0, 3, 4, 29)]
    assert torch.equal(rows[others], gene.weight)
    assert not rows[30:].any()  # each CLS starts at zero
    rows.sum().backward()
    assert (gene.weight.grad == 1).all()
    assert gene.project.weight.grad.any()
    names = {name for name, _ in network.named_parameters()}
    assert ("embedding.gene.vector" in names) == trainable
    torch.testing.assert_close(gene.vector.data, vectors.vector, rtol=0, atol=0)  # not drawn over
    if trainable:
        assert gene.vector.grad.any()


def test_projected_rows_start_with_the_spread_of_learnt_ones(bmfm):
    vectors = given(list(range(0, 1000, 2)), dimensions=64)
    settings = settings_of(bmfm, encoder={"hidden": 64, "init_std": 0.02})
    rows = all_rows(Network(settings, 1000, None, 0, vectors), 1000, 1)[:1000]
    assert rows[::2].std().item() == pytest.approx(rows[1::2].std().item(), rel=0.1)


@pytest.mark.parametrize("objective", ["mlm", "wced"])
@pytest.mark.parametrize("genes", [[7], list(range(30))], ids=["one", "all"])
def test_training_reaches_every_parameter_whatever_the_coverage(ragged, dense, bmfm, draw, objective, genes):
    settings = settings_of(bmfm, True, objective)
    network = Network(settings, 30, None, 0, given(genes))
    dense[:, 7] = 1
    view = make_view(ragged(dense), settings, torch.ones(1, 30, dtype=torch.bool), draw())
    tasks, _ = network.tasks(view)
    sum(task.total for task in tasks.values()).backward()
    # Gradients of given genes arrive at their vectors; the CLS row is learnt always.
    assert network.embedding.gene.vector.grad.abs().sum(1).bool().sum() == len(genes)
    assert network.embedding.gene.weight.grad[-1].any()


def test_saved_weights_bring_their_vectors(bmfm):
    vectors = given([2, 5])
    network = Network(settings_of(bmfm), 30, None, 0, vectors)
    weights = network.state_dict()
    again = Network(network.settings, 30, None, 1, vectors_among(weights))
    again.load_state_dict(weights)
    assert torch.equal(all_rows(again, 30, 1), all_rows(network, 30, 1))
    assert vectors_among(Network(bmfm(), 30, None, 0).state_dict()) is None


def test_settings_and_vectors_come_together(bmfm):
    for settings, vectors in ((bmfm(), given([1])), (settings_of(bmfm), None)):
        with pytest.raises(ValueError, match="must come together"):
            Network(settings, 30, None, 0, vectors)
