"""What holds for every backbone: a function of each cell's set of tokens, whatever stands beside it."""

import numpy as np
import pandas as pd
import pytest
import torch

from scfm.model import load
from scfm.model_directory import write_model
from scfm.models.bmfm.backbones.layout import Rows
from scfm.models.bmfm.encoder import BACKBONES, SetEncoder, initialise
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.settings import Encoder
from scfm.models.bmfm.view import make_view
from scfm.models.tasks import combine

SIZES = {"layers": 3, "hidden": 16, "heads": 2, "ffn": 24, "init_std": 0.3, "landmarks": 8, "features": 32}
LENGTHS = (1, 3, 8, 9, 150, 64, 1)
"""One token, fewer than the landmarks, as many, one more, several chunks of a Performer, a whole one."""

pytestmark = pytest.mark.parametrize("backbone", BACKBONES)


def make(backbone, **keys):
    settings = Encoder(backbone=backbone, **(SIZES | keys))
    encoder = SetEncoder(settings)
    initialise(encoder, settings, torch.Generator().manual_seed(0))
    return encoder


def starts_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def batch(lengths=LENGTHS, seed=1):
    """Tokens, and genes of which no cell has one twice."""
    rng = np.random.default_rng(seed)
    gene = np.concatenate([rng.permutation(1000)[:n] for n in lengths])
    return torch.from_numpy(rng.normal(size=(sum(lengths), 16)).astype("f4")), torch.from_numpy(gene)


def run(encoder, x, gene, lengths=LENGTHS, rows=None):
    return encoder(x, starts_of(lengths), max(lengths), rows, gene)


def close(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, atol=atol, rtol=1e-5)


def test_the_order_of_tokens_does_not_matter(backbone):
    encoder = make(backbone)
    x, gene = batch()
    before = run(encoder, x, gene)
    rng = np.random.default_rng(2)
    starts = np.cumsum([0, *LENGTHS])
    order = np.concatenate([a + rng.permutation(n) for a, n in zip(starts, LENGTHS, strict=False)])
    close(run(encoder, x[order], gene[order]), before[order])


def test_the_cls_of_a_cell_does_not_depend_on_the_order_of_its_genes(backbone, ragged, dense, bmfm):
    settings = bmfm("wced", heads=1, encoder={"backbone": backbone, "landmarks": 4})
    network = Network(settings, 30, torch.eye(2, dtype=torch.bool), seed=0)
    cells, shuffled = ragged(dense), ragged(dense)
    rng = np.random.default_rng(0)
    starts = cells.lengths.cumsum(0) - cells.lengths
    order = np.concatenate([a + rng.permutation(int(n)) for a, n in zip(starts, cells.lengths, strict=True)])
    shuffled.gene, shuffled.count = cells.gene[order], cells.count[order]
    measured = torch.ones(1, 30, dtype=torch.bool)
    views = [make_view(some, settings, measured, None, "embed") for some in (cells, shuffled)]
    assert not torch.equal(views[0].gene, views[1].gene)
    one, other = (network.pool(network.encode(view), view) for view in views)
    for name in settings.poolings:
        close(one[name], other[name])


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_cell_is_what_it_is_alone(backbone, scale):
    encoder = make(backbone)
    x, gene = batch()
    loud = x.clone()
    loud[sum(LENGTHS[:4]) : sum(LENGTHS[:5])] *= scale  # one batch-mate is strange
    cells = zip(loud.split(LENGTHS), gene.split(LENGTHS), LENGTHS, strict=True)
    alone = torch.cat([run(encoder, cell, own, (n,)) for cell, own, n in cells])
    close(run(encoder, loud, gene), alone)


def test_nothing_flows_between_cells(backbone):
    encoder = make(backbone)
    x, gene = batch()
    x.requires_grad_()
    for i, out in enumerate(run(encoder, x, gene).split(LENGTHS)):
        (grad,) = torch.autograd.grad(out.square().sum(), x, retain_graph=True)
        moved = [bool(part.any()) for part in grad.split(LENGTHS)]
        assert moved == [j == i for j in range(len(LENGTHS))]


def test_every_token_of_a_cell_reaches_every_other(backbone):
    encoder = make(backbone, layers=1)
    x, gene = batch()
    x.requires_grad_()
    out = run(encoder, x, gene)
    start = sum(LENGTHS[:4])
    (grad,) = torch.autograd.grad(out[start].square().sum(), x)
    assert grad[start : start + 150].any(1).all()


def test_some_rows_alone_are_those_of_all(backbone):
    encoder = make(backbone)
    x, gene = batch()
    starts = starts_of(LENGTHS)
    asked = (1, 0, 2, 3, 70, 1, 1)
    position = torch.cat([start + torch.arange(n) for start, n in zip(starts, asked, strict=False)])
    some = run(encoder, x, gene, rows=Rows(position, starts_of(asked), max(asked)))
    close(some, run(encoder, x, gene)[position])


@pytest.mark.parametrize("lengths", [(1,), (1, 1), (2, 1), LENGTHS], ids=str)
@pytest.mark.parametrize("kind", ["random", "equal", "large"])
def test_outputs_and_gradients_are_finite(backbone, lengths, kind):
    encoder = make(backbone)
    x, gene = batch(lengths)
    x = {"random": x, "equal": torch.ones_like(x), "large": x * 1e4}[kind].requires_grad_()
    out = run(encoder, x, gene, lengths)
    assert out.isfinite().all()
    out.square().sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)


def test_every_parameter_learns(backbone):
    encoder = make(backbone, embedding_norm=True)
    x, gene = batch()
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    (run(encoder, x, gene) * weights).sum().backward()
    for name, parameter in encoder.named_parameters():
        if not name.endswith("key.bias"):  # it shifts all scores of a query alike: BERT keeps it all the same
            assert parameter.grad.abs().max() > 1e-6, name


def test_nothing_inside_drops_out(backbone):
    encoder = make(backbone).train()
    x, gene = batch()
    assert torch.equal(run(encoder, x, gene), run(encoder, x, gene))
    assert torch.equal(run(encoder, x, gene), run(encoder.eval(), x, gene))


def test_a_training_step_in_bfloat16_is_near_that_in_float32(backbone, ragged, dense, bmfm, draw):
    settings = bmfm("mlm", heads=1, encoder={"backbone": backbone, "landmarks": 4, "init_std": 0.1})
    network = Network(settings, 30, torch.eye(2, dtype=torch.bool), seed=0)
    labels = np.arange(12) % 2
    view = make_view(ragged(dense, labels=labels), settings, torch.ones(1, 30, dtype=torch.bool), draw())
    losses = []
    for mixed in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            tasks, _ = network.tasks(view)
        loss = combine(tasks, {name: task.count for name, task in tasks.items()})
        loss.backward()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_initial_weights_depend_on_the_seed_alone(backbone, bmfm):
    settings = bmfm(encoder={"backbone": backbone})
    first = Network(settings, 30, None, seed=3).state_dict()
    torch.rand(17)
    again = Network(settings, 30, None, seed=3).state_dict()
    other = Network(settings, 30, None, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if first[name].ndim > 1)


def test_a_model_directory_gives_back_the_same_model(backbone, ragged, dense, bmfm, tmp_path):
    settings = bmfm(encoder={"backbone": backbone, "landmarks": 4, "features": 24})
    network = Network(settings, 30, None, seed=5).eval()
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(30)], "ensembl": [f"ENSG{i:011d}" for i in range(30)]})
    about = {"run": "toy", "seed": 5, "settings": {"system": "bmfm", "model": settings.model_dump(mode="json")}}
    epochs, errors = pd.DataFrame({"epoch": [1]}), pd.DataFrame({"gene": ["G0"]})
    write_model(tmp_path / "m", network, about, genes, None, epochs, errors)
    loaded = load(tmp_path / "m", "cpu").network
    written = network.state_dict()
    assert written.keys() == loaded.state_dict().keys()
    assert all(torch.equal(tensor, written[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.settings == settings
    view = make_view(ragged(dense), settings, torch.ones(1, 30, dtype=torch.bool), None, "embed")
    assert torch.equal(loaded.encode(view), network.encode(view))
