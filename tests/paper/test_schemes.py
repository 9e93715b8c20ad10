"""What the schemes show is what the library and the weights say."""

import inspect
import json

import nbformat
import pytest

import scfm
from scfm.errors import ScfmError
from scfm.files import write_json
from scfm.paper.schemes import network_parts, public_api, weight_shapes


def test_public_functions_with_their_parameters():
    api = public_api()
    assert list(api) == scfm.__all__
    for name, (parameters, sentence) in api.items():
        assert parameters.split(", ") == list(inspect.signature(getattr(scfm, name)).parameters)
        assert sentence


SHAPES = {
    "decoder.layers.0.weight": (4, 4),
    "embedding.gene.weight": (11, 4),
    "embedding.value.linear.weight": (4, 6),
    "encoder.blocks.0.qkv.weight": (12, 4),
    "encoder.blocks.1.qkv.weight": (12, 4),
    "encoder.blocks.1.norm.weight": (4,),
    "encoder.norm.weight": (4,),
    "label_heads.cell_type.out.weight": (3, 4),
    "label_heads.sex.out.weight": (2, 4),
    "another.weight": (5,),
}


def test_every_weight_belongs_to_one_part():
    parts = {part.name: part for part in network_parts(SHAPES)}
    assert list(parts) == [
        *("gene embedding", "value encoder", "encoder block", "final norm", "decoder"),
        *("another", "head: cell type", "head: sex"),
    ]
    assert sum(part.parameters for part in parts.values()) == 16 + 44 + 24 + 48 * 2 + 4 + 4 + 12 + 8 + 5
    assert (parts["encoder block"].parameters, parts["encoder block"].repeats) == (100, 2)
    assert parts["encoder block"].shapes == {"qkv.weight": (12, 4), "norm.weight": (4,)}


def test_shapes_are_those_of_the_file(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    save_file({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}, path)
    assert weight_shapes(path) == SHAPES
    path.write_bytes(b"not weights")
    with pytest.raises(ScfmError, match="not a safetensors file"):
        weight_shapes(path)


def drawn(name, folder, root, **parameters):
    """Names of a notebook after its cells ran in this process."""
    import matplotlib

    matplotlib.use("Agg")
    names = {}
    for cell in nbformat.read(root / f"notebooks/{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, name, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(parameters | {"out": str(folder), "dpi": 30})
    names["plt"].close("all")
    assert (folder / f"{name}.png").stat().st_size > 1000
    return names


def test_figure_s9_draws_every_part_and_refuses_other_weights(tmp_path, pytestconfig):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}, tmp_path / "w.safetensors")
    encoder = {"backbone": "llama", "heads": 2, "hidden": 4, "ffn": 8}
    model = {"encoder": encoder, "objective": {"kind": "wced"}, "heads": [{"label": "cell_type", "loss": "hce"}]}
    model["input"] = {"value_encoder": {"kind": "periodic"}, "tokens": 320}
    total = sum(part.parameters for part in network_parts(SHAPES))
    about = {"run": "wced", "seed": 0, "parameters": total, "settings": {"model": model}}
    write_json(tmp_path / "c.json", about)
    files = {"configs": str(tmp_path / "c.json"), "weights": str(tmp_path / "w.safetensors")}
    axis = drawn("figureS9", tmp_path, pytestconfig.rootpath, **files)["axes"][0, 0]
    texts = [text.get_text() for text in axis.texts]
    assert {
        "encoder block × 2",
        "llama, 2 heads of 2, FFN 8",
        "loss hce",
        "a cell: up to 320 genes with their values",
    } <= {*texts}
    assert axis.get_title() == f"wced, seed 0: {total} parameters"
    write_json(tmp_path / "c.json", about | {"parameters": total + 1})
    with pytest.raises(ValueError, match=f"{total} weights, but config.json says {total + 1}"):
        drawn("figureS9", tmp_path, pytestconfig.rootpath, **files)


def test_figure_1_draws_every_stage_and_function(tmp_path, pytestconfig):
    graph = {"stages": {"corpus": {"scan": 2}, "pretrain": {"train": 1}, "paper": {"report": 1}}}
    graph["flows"] = [["corpus", "pretrain", 3], ["corpus", "paper", 7], ["pretrain", "paper", 5]]
    stages = {"corpus": "cells", "pretrain": "train", "paper": "page", "archive": "not run"}
    given = {"workflow": graph, "stages": stages, "api": {"embed": ["adata, model", "Write embeddings."]}}
    given = {name: json.dumps(value) for name, value in given.items()}
    texts = [text.get_text() for text in drawn("figure1", tmp_path, pytestconfig.rootpath, **given)["axis"].texts]
    assert {"corpus", "scan ×2", "1 rule, 2 jobs", "3", "7", "5", "scfm.embed(adata, model)", "Write embeddings."} <= {
        *texts
    }
    assert "archive" not in texts
    with pytest.raises(ValueError, match="stages without a description: corpus"):
        drawn("figure1", tmp_path, pytestconfig.rootpath, **given | {"stages": '{"pretrain": "", "paper": ""}'})
