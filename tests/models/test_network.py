import math

import numpy as np
import pytest
import torch

from scfm.models.bmfm.embedding import TokenEmbedding
from scfm.models.bmfm.encoder import SetEncoder
from scfm.models.bmfm.heads import LabelHead, WholeCellDecoder
from scfm.models.bmfm.network import Network, Reconstruction, reconstruction_tasks
from scfm.models.bmfm.settings import Encoder, Input, Mlm, Wced
from scfm.models.bmfm.view import make_view
from scfm.models.tasks import Task, combine

TREE = torch.tensor([[True, True], [True, False], [False, True]])


def everything(genes):
    return torch.ones(1, genes, dtype=torch.bool)


def count(module):
    return sum(p.numel() for p in module.parameters())


def near(millions):
    return pytest.approx(millions * 1e6, rel=0.005)


def test_parameters_of_the_papers_encoder():
    with torch.device("meta"):
        encoder = SetEncoder(Encoder())
        embedding = TokenEmbedding(19_321, 1, Input(), 384)
        decoder = WholeCellDecoder(384, 19_283)
    blocks = 12 * (4 * 384**2 + 3 * 384 * 1024) + (11 + 12) * 384  # no norm before the attention of block 0
    assert count(encoder.blocks) == blocks == near(21.2)
    assert count(encoder) == blocks + 384  # the last norm
    assert blocks + embedding.gene.weight[:19_321].numel() == near(28.7)
    hidden, out = 384**2, 384 * 2 * 19_283
    assert sum(p.numel() for p in decoder.parameters() if p.ndim > 1) == hidden + out == near(14.9)
    assert count(decoder) == hidden + out + 3 * 384 + 2 * 19_283  # biases and a norm


@pytest.mark.parametrize("classes", [2, 794])
def test_parameters_of_a_label_head_follow_its_classes(classes):
    assert count(LabelHead(384, classes, 0.1)) == 384**2 + 3 * 384 + 385 * classes


def test_the_first_block_attends_to_the_raw_embedding():
    settings = Encoder(layers=1, hidden=8, heads=2, ffn=8)
    encoder = SetEncoder(settings)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    starts = torch.tensor([0, 4], dtype=torch.int32)
    block = encoder.blocks[0]
    q, k, v = block.qkv(x).view(4, 3, 2, 4).permute(1, 2, 0, 3)
    attended = (q @ k.transpose(1, 2) / 2).softmax(2) @ v
    after = x + attended.transpose(0, 1).reshape(4, 8) @ block.out.weight.T

    def rms(t):
        return t / (t.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()

    gate, up = (rms(after) @ block.gate_up.weight.T).chunk(2, dim=1)
    after = after + (gate * torch.sigmoid(gate) * up) @ block.down.weight.T
    torch.testing.assert_close(encoder(x, starts, 4), rms(after), atol=1e-5, rtol=1e-4)


def test_initial_weights_depend_on_the_seed_alone(bmfm):
    settings = bmfm(heads=1)
    first = Network(settings, 30, TREE, seed=3).state_dict()
    torch.rand(17)
    again = Network(settings, 30, TREE, seed=3).state_dict()
    other = Network(settings, 30, TREE, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if first[name].ndim > 1)


def test_initial_weights_have_the_stated_spread(bmfm):
    depth = 8
    settings = bmfm("mlm", heads=1, encoder={"layers": depth, "hidden": 64, "ffn": 96, "init_std": 0.02})
    shrunk = {}
    for name, parameter in Network(settings, 200, TREE, seed=0).named_parameters():
        if parameter.ndim > 1:
            assert parameter.abs().max() <= 0.04
            shrunk[name] = parameter.std().item() / 0.02 < 0.5
    residual = [name for name, small in shrunk.items() if small]
    parts = [f"encoder.blocks.{i}.{part}.weight" for i in range(depth) for part in ("out", "down")]
    assert sorted(residual) == sorted(parts)


def test_decoder_starts_at_the_marginals():
    torch.manual_seed(0)
    decoder = WholeCellDecoder(16, 5)
    zero = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    mean = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.0])
    before = decoder.layers[-1].weight.detach().clone()
    decoder.start_at_marginals(zero, mean)
    torch.testing.assert_close(decoder.layers[-1].weight, before / 10)
    decoder.layers[-1].weight.data.zero_()
    value, logit = decoder(torch.randn(3, 16))
    torch.testing.assert_close(value, mean.expand(3, 5))
    torch.testing.assert_close(logit.sigmoid(), zero.clamp(1e-4, 1 - 1e-4).expand(3, 5))


def test_head_dropout_keeps_the_mean_and_needs_a_generator(draw):
    head = LabelHead(64, 3, dropout=0.25)
    x = torch.randn(1, 64, generator=draw())
    assert torch.equal(head(x), head(x))
    assert torch.equal(head(x, draw(1)), head(x, draw(1)))
    many = head(x.expand(20_000, 64), draw(2))
    error = many.detach().std(0) / math.sqrt(20_000)
    assert ((many.mean(0) - head(x)[0]).abs() < 5 * error).all()
    assert (error > 0).all()


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_reconstruction_losses_against_a_loop(ragged, dense, bmfm, draw, objective):
    measured = torch.from_numpy(np.random.default_rng(1).random((2, 30)) < 0.8) | torch.from_numpy(dense.any(0))
    measured[1, 20:] = False
    dataset = np.arange(12) % 2
    dense[dataset == 1, 20:] = 0
    zeros = {"strategy": "interleave"}
    settings = bmfm(objective, zeros=zeros)
    view = make_view(ragged(dense, dataset), settings, measured, draw())
    shape = view.target_value.shape
    predicted = Reconstruction(torch.randn(shape, generator=draw(1)), torch.randn(shape, generator=draw(2)) * 3)
    tasks = reconstruction_tasks(predicted, view, settings.objective)
    squared, n_above, entropy, n_all = 0.0, 0, 0.0, 0
    for where in np.ndindex(*shape):
        truth, value, logit = (float(t[where]) for t in (view.target_value, predicted.value, predicted.zero_logit))
        if view.target_mask is not None and not view.target_mask[where]:
            continue
        if truth > 0:
            squared, n_above = squared + (truth - value) ** 2, n_above + 1
        chance = 1 / (1 + math.exp(-logit))
        entropy, n_all = entropy - math.log(chance if truth == 0 else 1 - chance), n_all + 1
    assert tasks["value"].total.item() == pytest.approx(squared, rel=1e-5)
    assert tasks["is_zero"].total.item() == pytest.approx(entropy, rel=1e-5)
    assert (tasks["value"].count.item(), tasks["is_zero"].count.item()) == (n_above, n_all)
    assert 0 < n_above < n_all


def test_weights_of_the_objectives_are_the_papers():
    assert (Mlm(kind="mlm").value_weight, Mlm(kind="mlm").zero_weight) == (1.0, 1.5)
    assert (Wced(kind="wced").value_weight, Wced(kind="wced").zero_weight) == (1.0, 1.0)


def task(total, n, weight):
    return Task(torch.tensor(total, requires_grad=True), torch.tensor(n), weight)


def test_total_loss_is_the_weighted_mean_over_tasks_with_a_target():
    tasks = {"value": task(6.0, 3, 1.0), "is_zero": task(10.0, 4, 1.5), "label": task(0.0, 0, 7.0)}
    counts = {name: t.count for name, t in tasks.items()}
    loss = combine(tasks, counts)
    assert loss.item() == pytest.approx((1.0 * 2.0 + 1.5 * 2.5) / 2.5)
    loss.backward()
    assert tasks["label"].total.grad.item() == 0
    assert tasks["value"].total.grad.item() == pytest.approx(1 / 3 / 2.5)


def test_total_loss_of_a_batch_without_any_target_is_zero():
    tasks = {"value": task(0.0, 0, 1.0), "is_zero": task(0.0, 0, 1.0)}
    assert combine(tasks, {name: t.count for name, t in tasks.items()}).item() == 0


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_labels_read_their_own_cell_vector(ragged, dense, bmfm, objective):
    settings = bmfm(objective, heads=1)
    assert settings.poolings == (("cls", "cls_0", "mean", "concat_cls") if objective == "wced" else ("cls", "mean"))
    network = Network(settings, 30, TREE, seed=0)
    view = make_view(ragged(dense), settings, everything(30), None, "embed")
    hidden = network.encode(view).detach().requires_grad_()
    network.label_logits(hidden, view)["cell_type"].sum().backward()
    read = hidden.grad.abs().sum(1).nonzero().flatten()
    np.testing.assert_array_equal(read, view.cls[:, -1])


def test_whole_cell_decoding_reads_the_cls_alone(ragged, dense, bmfm, draw):
    settings = bmfm()
    network = Network(settings, 30, None, seed=0)
    view = make_view(ragged(dense), settings, everything(30), draw())
    hidden = network.encode(view).detach().requires_grad_()
    predicted = network.reconstruct(hidden, view)
    assert predicted.value.shape == predicted.zero_logit.shape == (12, 30)
    (predicted.value.sum() + predicted.zero_logit.sum()).backward()
    np.testing.assert_array_equal(hidden.grad.abs().sum(1).nonzero().flatten(), view.cls[:, 0])


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_vectors_read_by_the_losses_are_those_of_the_whole_encoder(ragged, dense, bmfm, draw, objective):
    dense[5] = 0
    settings = bmfm(objective, heads=1, zeros={"strategy": "interleave"})
    network = Network(settings, 30, TREE, seed=0)
    view = make_view(ragged(dense, labels=np.arange(12) % 4 - 1), settings, everything(30), draw())
    hidden = network.encode(view)
    some, moved = network.encode_targets(view)
    torch.testing.assert_close(some[moved.cls], hidden[view.cls], atol=2e-5, rtol=1e-4)
    whole, few = network.reconstruct(hidden, view), network.reconstruct(some, moved)
    torch.testing.assert_close(few.value, whole.value, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(few.zero_logit, whole.zero_logit, atol=2e-5, rtol=1e-4)
    labels, others = network.label_logits(hidden, view), network.label_logits(some, moved)
    torch.testing.assert_close(labels["cell_type"], others["cell_type"], atol=2e-5, rtol=1e-4)
    tasks, _ = network.tasks(view)
    expected = reconstruction_tasks(whole, view, settings.objective)
    assert set(tasks) == {*expected, "cell_type_hce"}
    for name, task in expected.items():
        torch.testing.assert_close(tasks[name].total, task.total, rtol=1e-4, atol=1e-4)
        assert tasks[name].count == task.count
    assert tasks["cell_type_hce"].count == 9


def test_mean_pooling_is_the_mean_over_gene_tokens(ragged, dense, bmfm):
    settings = bmfm(heads=1)
    network = Network(settings, 30, TREE, seed=0)
    view = make_view(ragged(dense), settings, everything(30), None, "embed")
    hidden = network.encode(view)
    for i, row in enumerate(network.pool(hidden, view)["mean"]):
        own = hidden[view.starts[i] + 2 : view.starts[i + 1]]
        torch.testing.assert_close(row, own.mean(0), atol=1e-5, rtol=1e-4)
