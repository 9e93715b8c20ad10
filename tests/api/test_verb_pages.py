"""Every example of the pages of the verbs runs as it stands, and prints what the page says."""

import doctest
import shutil

import pytest


@pytest.mark.parametrize("verb", ["embed", "annotate", "explain", "finetune", "publish"])
def test_examples_of_the_page(pytestconfig, toy_model, toy_adata, tmp_path, monkeypatch, verb):
    page = (pytestconfig.rootpath / f"docs/{verb}.md").read_text()
    names = {"adata": toy_adata, "validation": toy_adata.copy(), "model": shutil.copytree(toy_model, tmp_path / "toy")}
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(page, names, verb, f"docs/{verb}.md", 0)
    assert len(examples.examples) > 2
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    printed = []
    runner.run(examples, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)
