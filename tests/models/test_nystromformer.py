"""Attention through landmarks against exact attention, and against its formula with an exact pseudo-inverse."""

import math

import numpy as np
import pytest
import torch

from scfm.models.bmfm.backbones.layout import Layout
from scfm.models.bmfm.backbones.llama import LlamaBlock
from scfm.models.bmfm.backbones.nystromformer import Landmarks, NystromformerBlock, pseudo_inverse
from scfm.models.bmfm.encoder import SetEncoder, initialise
from scfm.models.bmfm.settings import Encoder

LENGTHS = (1, 6, 7, 20, 45)


def starts_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def settings(**keys):
    small = {"layers": 2, "hidden": 16, "heads": 2, "ffn": 24, "init_std": 0.3, "landmarks": 6}
    return Encoder(**(small | keys))


def batch(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    gene = np.concatenate([rng.permutation(100)[:n] for n in lengths])
    return torch.from_numpy(rng.normal(size=(sum(lengths), 16)).astype("f4")), torch.from_numpy(gene)


def layout_of(gene, keys, lengths=LENGTHS):
    return Landmarks.of(starts_of(lengths), max(lengths), gene, keys)


@pytest.mark.parametrize("landmarks", [45, 64])
def test_with_as_many_landmarks_as_tokens_it_is_the_llama(landmarks):
    x, gene = batch()
    outs = []
    for backbone in ("nystromformer", "llama"):
        keys = settings(backbone=backbone, landmarks=landmarks)
        encoder = SetEncoder(keys)
        initialise(encoder, keys, torch.Generator().manual_seed(0))
        outs.append(encoder(x, starts_of(LENGTHS), max(LENGTHS), gene=gene))
    torch.testing.assert_close(*outs, atol=1e-5, rtol=1e-5)


def test_cells_no_longer_than_the_landmarks_are_exact_beside_longer_ones():
    x, gene = batch()
    torch.manual_seed(0)
    block = NystromformerBlock(settings(), first=True)
    out = block.mix(x, layout_of(gene, settings()), None)
    exact = LlamaBlock.mix(block, x, Layout(starts_of(LENGTHS), max(LENGTHS)), None)
    short = sum(LENGTHS[:2])
    torch.testing.assert_close(out[:short], exact[:short], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(out[short:], exact[short:], atol=1e-4)


def formula(q, k, v, gene, landmarks):
    """One cell in float64: F · pinv(A) · B · V, landmarks as means of runs of genes by id."""
    order = gene.argsort()
    segment = torch.arange(len(gene)) * landmarks // len(gene)
    q, k, v = (x.double().transpose(0, 1) for x in (q, k, v))
    means = [torch.stack([x[:, order[segment == i]].mean(1) for i in range(landmarks)], dim=1) for x in (q, k)]
    width = math.sqrt(q.shape[2])
    f, a, b = ((x @ y.mT / width).softmax(2) for x, y in ((q, means[1]), (means[0], means[1]), (means[0], k)))
    return (f @ torch.linalg.pinv(a) @ b @ v).transpose(0, 1).flatten(1)


def test_longer_cells_follow_the_formula():
    x, gene = batch()
    keys = settings(landmarks=6)
    torch.manual_seed(0)
    block = NystromformerBlock(keys, first=True)
    block.iterations = 30
    block.qkv.weight.data *= 8  # landmarks that attend to different tokens: an inverse that exists
    parts = [part.split(LENGTHS) for part in block.project(x, block.qkv.weight).unbind(1)]
    out = block.mix(x, layout_of(gene, keys), None).split(LENGTHS)
    for i, n in enumerate(LENGTHS):
        if n > 6:
            expected = formula(*(part[i] for part in parts), gene.split(LENGTHS)[i], 6)
            torch.testing.assert_close(out[i], expected.float(), atol=2e-4, rtol=1e-3)


def test_more_landmarks_come_closer_to_exact_attention():
    rng = np.random.default_rng(0)
    lengths, gene = (96,), torch.arange(96)
    smooth = np.cumsum(rng.normal(size=(96, 16)), 0) / 8  # neighbours are alike, as the method supposes
    x = torch.from_numpy(smooth.astype("f4"))
    errors = []
    for landmarks in (2, 8, 32, 96):
        torch.manual_seed(0)
        block = NystromformerBlock(settings(landmarks=landmarks), first=True)
        exact = LlamaBlock.mix(block, x, Layout(starts_of(lengths), 96), None)
        through = block.mix(x, layout_of(gene, settings(landmarks=landmarks), lengths), None)
        errors.append((through - exact).square().mean().sqrt().item())
    assert errors[3] < 1e-6
    assert errors[2] < errors[1] < errors[0] < exact.std().item()


def test_landmarks_are_runs_of_genes_by_id_of_nearly_equal_size():
    _, gene = batch()
    layout = layout_of(gene, settings(landmarks=6))
    counts = torch.tensor([min(n, 6) for n in LENGTHS])
    assert torch.equal(layout.first.diff().long(), counts)
    assert layout.size.sum() == sum(LENGTHS)
    for i, (genes, segment) in enumerate(zip(gene.split(LENGTHS), layout.segment.split(LENGTHS), strict=True)):
        ordered = segment[genes.argsort()] - layout.first[i]
        assert (ordered.diff() >= 0).all()
        assert torch.equal(ordered.unique(), torch.arange(int(counts[i])))
        sizes = torch.bincount(ordered)
        assert sizes.max() - sizes.min() <= 1
    assert layout.long.tolist() == [[*range(a, a + 6)] for a in layout.first[2:5].tolist()]
    assert layout.long_first.tolist() == [0, 0, 0, 6, 12, 18]


def test_without_genes_there_is_no_order():
    x, _ = batch()
    keys = settings(backbone="nystromformer")
    with pytest.raises(ValueError, match="gene"):
        SetEncoder(keys)(x, starts_of(LENGTHS), max(LENGTHS))


def test_the_iteration_finds_the_pseudo_inverse_of_each_matrix_by_itself():
    generator = torch.Generator().manual_seed(0)
    a = (torch.randn(3, 2, 8, 8, generator=generator, dtype=torch.float64) * 3).softmax(3)
    a[1] *= 1e3  # a norm shared by all would leave the others far from their inverse
    torch.testing.assert_close(pseudo_inverse(a, 40), torch.linalg.pinv(a), atol=1e-8, rtol=1e-6)
    few = pseudo_inverse(a, 6)
    for i in range(3):
        for j in range(2):
            torch.testing.assert_close(pseudo_inverse(a[i, j], 6), few[i, j], atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("iterations", [3, 6, 12])
def test_coinciding_landmarks_do_no_harm(iterations):
    a = torch.randn(1, 64, generator=torch.Generator().manual_seed(0)).softmax(1).expand(64, 64)
    z = pseudo_inverse(a, iterations)
    torch.testing.assert_close(a @ z @ a, a, atol=1e-6, rtol=1e-4)
    assert z.abs().max() < 1
