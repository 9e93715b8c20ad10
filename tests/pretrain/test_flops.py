"""Operations of a step in closed form, against those that PyTorch counts as it runs them."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scfm.models.bmfm.flops import step_flops
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.settings import Bmfm, Encoder
from scfm.models.bmfm.view import make_view
from scfm.models.cells import Cells
from scfm.models.tasks import combine
from scfm.pretrain.flops import gemm_peak

GENES, CELLS, LENGTH = 300, 4, 127


def settings(objective, backbone="llama", heads=0, layers=3, **inputs):
    encoder = {"backbone": backbone, "layers": layers, "hidden": 16, "heads": 2, "ffn": 24, "features": 8}
    encoder |= {"landmarks": 16}
    periodic = {"value_encoder": {"frequencies": 6, "octaves": 6}}
    return Bmfm.model_validate(
        {
            "encoder": encoder,
            "input": periodic | inputs,
            "objective": {"kind": objective} | ({"mask": 1.0} if objective == "mlm" else {}),
            "heads": [{"label": "cell_type"}] * heads,
        }
    )


def step(run, lengths, seed=0):
    """Network and view of cells with so many genes; every gene of an MLM cell is a target."""
    rng = np.random.default_rng(seed)
    gene = np.concatenate([rng.permutation(GENES)[:n] for n in lengths])
    labels = {"cell_type": torch.zeros(len(lengths), dtype=torch.int64)}
    lengths, count = torch.tensor(lengths), torch.ones(sum(lengths))
    cells = Cells(torch.from_numpy(gene), count, lengths, torch.zeros(len(lengths), dtype=torch.int64), labels)
    network = Network(run, GENES, torch.eye(5, dtype=torch.bool) if run.heads else None, seed)
    draw = torch.Generator().manual_seed(0)
    return network, make_view(cells, run, torch.ones(1, GENES, dtype=torch.bool), draw)


def counted(network, view):
    """Operations of forward and backward pass; attention is computed as two products, which PyTorch can count."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tasks, _ = network.tasks(view)
        combine(tasks, {name: task.count for name, task in tasks.items()}).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("inputs", [{}, {"value_encoder": {"kind": "mlp", "hidden": 9}}])
@pytest.mark.parametrize("heads", [0, 1])
@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_operations_are_those_that_are_run(objective, heads, inputs):
    network, view = step(settings(objective, heads=heads, **inputs), [LENGTH] * CELLS)
    # A label head adds a product with constant matrices and no weights: its loss, a few per mille of this toy.
    assert step_flops(network, view).item() == pytest.approx(counted(network, view), rel=0.002 if heads else 1e-9)


@pytest.mark.parametrize("backbone", ["bert", "modernbert", "performer", "nystromformer"])
def test_operations_of_other_backbones(backbone):
    # Blocks on tokens of whole chunks, so that nothing is padded; a few small products are not in the closed form.
    network, view = step(settings("mlm", backbone), [LENGTH] * CELLS)
    assert step_flops(network, view).item() == pytest.approx(counted(network, view), rel=0.06)


def test_ragged_cells_add_up_without_their_padding():
    run = settings("wced")
    together = step_flops(*step(run, [20, 150, 3])).item()
    assert together == pytest.approx(sum(step_flops(*step(run, [n])).item() for n in (20, 150, 3)))


def test_the_paper_encoder_takes_six_operations_a_weight_and_twelve_a_pair_of_tokens():
    run = settings("wced", layers=13)  # the last block works for the CLS alone: twelve whole ones are the difference
    run = run.model_copy(update={"encoder": Encoder(layers=13)})
    fewer = run.model_copy(update={"encoder": Encoder(layers=1)})
    (network, view), (small, _) = step(run, [199]), step(fewer, [199])
    flops = step_flops(network, view) - step_flops(small, view)
    assert flops.item() == 12 * (6 * 200 * (4 * 384**2 + 3 * 384 * 1024) + 12 * 200**2 * 384)


def test_the_peak_is_that_of_a_product_of_this_device():
    peak = gemm_peak(torch.device("cpu"), "32-true")
    assert 1e8 < peak < 1e16
    assert gemm_peak(torch.device("cpu"), "32-true") == peak  # measured once
