"""Models on the Hugging Face Hub: publish a model directory with its card, and load one by its name there."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from scfm.api.hub_errors import hub_sentences, package
from scfm.errors import ScfmError
from scfm.model import CALIBRATION, FILES, Model, load
from scfm.model_card import METRICS, model_card

PREFIX = "hf:"
"""How the name of a model on the Hub begins: `hf:owner/name`, or `hf:owner/name@revision`."""
PUBLISHED = (*FILES, METRICS, "gene_errors.parquet", CALIBRATION)
"""Files of a model directory that are published, where they are there; nothing else is."""
CARD = "README.md"
NAME = re.compile(r"[\w.-]+/[\w.-]+")


def push_to_hub(
    model_directory: Path | str,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] = (),
    verbose: bool = True,
) -> str:
    """Publish a model directory on the Hugging Face Hub, with a card made from its files, in one commit.

    The repository is made if there is none. Of the directory, the files of `PUBLISHED` are sent and nothing else.

    Args:
        repo_id: `owner/name`.
        private: for you and your organisation alone; a repository that is public already is then refused.
        token: with the right to write; the one of `hf auth login` where left out.
        licence: identifier as the Hub knows it, e.g. `cc-by-4.0`. It is never guessed.
        datasets: ids on the Hub of what the cells come from, for the card.
        verbose: print what was sent, in one line.

    Returns:
        The name of this very version, `hf:owner/name@commit`, which `from_pretrained` loads.

    Raises:
        ScfmError: no licence; the directory is no model; the name is wrong, the Hub cannot be reached, does not know
            the token or gives it no right to write; `huggingface_hub` is not installed.
    """
    if not licence:
        raise ScfmError("licence: none is given, and it is not guessed; name one, e.g. licence='cc-by-4.0' (--licence)")
    name = _must_be_name(repo_id.removeprefix(PREFIX))
    folder = Path(model_directory)
    card = model_card(folder, licence, PREFIX + name, datasets)
    hub = package()
    there = [file for file in PUBLISHED if (folder / file).is_file()]
    with hub_sentences(PREFIX + name), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="It seems that you are about to commit a data file")
        api = hub.HfApi(token=token)
        api.create_repo(name, private=private, exist_ok=True)
        if private and not api.repo_info(name).private:
            raise ScfmError(f"{PREFIX}{name}: is public already; make it private on the Hub, or name another one")
        sent = [hub.CommitOperationAdd(file, folder / file) for file in there]
        sent.append(hub.CommitOperationAdd(CARD, card.encode()))
        gone = set(PUBLISHED).difference(there).intersection(api.list_repo_files(name))
        removed = [hub.CommitOperationDelete(file) for file in sorted(gone)]
        commit = api.create_commit(name, sent + removed, commit_message="Model directory and card")
    version = f"{PREFIX}{name}@{commit.oid}"
    if verbose:
        print(f"push: {len(sent)} files of {folder}, licence {licence}; {version}")
    return version


def from_pretrained(
    model: Path | str,
    revision: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    *,
    cache: Path | str | None = None,
    token: str | None = None,
) -> Model:
    """Load a model by its name on the Hugging Face Hub, `hf:owner/name`, or from its directory.

    What begins with `hf:` is a name on the Hub, everything else a directory. Files are kept in the cache of
    `huggingface_hub`; they are fetched once, and where the Hub gives no answer or refuses, the version fetched last is
    loaded from there, if it is whole.

    Args:
        model: `hf:owner/name`, `hf:owner/name@revision` or a directory.
        revision: branch, tag or commit; the latest version where left out.
        device, precision: as in `scfm.load`.
        cache: folder instead of the usual one (`HF_HOME`).
        token: for private models; the one of `hf auth login` where left out.

    Raises:
        ScfmError: the name is wrong, not known or not open to the token, the Hub cannot be reached, the disk is full,
            `huggingface_hub` is not installed; what was fetched is no model; as `scfm.load`.
    """
    text = str(model)
    if not on_hub(text):
        if revision:
            raise ScfmError(f"revision: '{text}' is a directory, which has none; write hf:owner/name for the Hub")
        if NAME.fullmatch(text) and not Path(text).exists():
            raise ScfmError(f"{text}: model directory not found; for a model on the Hub of that name, write hf:{text}")
        return load(text, device, precision)
    name, _, named = text.removeprefix(PREFIX).partition("@")
    name, revision = _must_be_name(name), revision or named or None
    api = package().HfApi(token=token)
    with hub_sentences(PREFIX + name, revision):
        folder = Path(api.snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=list(PUBLISHED)))
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise ScfmError(f"{PREFIX}{name}: is no model of scfm, since it has no {missing[0]}; check the name")
    return load(folder, device, precision)


def on_hub(model: object) -> bool:
    """Whether this names a model on the Hub."""
    return str(model).startswith(PREFIX)


def _must_be_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ScfmError(f"'{name}': is no name of a model on the Hub; expected owner/name, of letters, digits, - _ .")
    return name
