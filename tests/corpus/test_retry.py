"""A store that does not answer is asked again, with growing pauses, and then is one sentence."""

import numpy as np
import pytest
import tiledbsoma

from scfm.corpus.retry import patiently
from scfm.corpus.scan import scan
from scfm.corpus.settings import CellQC, Retry, ScanSettings, Soma
from scfm.corpus.soma import SomaStore
from scfm.corpus.source import open_source
from scfm.errors import ScfmError

TIMEOUT = TimeoutError("Timeout was reached")
QUICK = Retry(attempts=3, seconds=0)


class Flaky:
    """A reader that fails a number of times."""

    def __init__(self, failures, error=TIMEOUT):
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "read"


@pytest.mark.parametrize(("failures", "pauses"), [(0, []), (1, [2]), (2, [2, 4])])
def test_it_succeeds_in_the_end(failures, pauses):
    slept = []
    assert patiently(Flaky(failures), (OSError,), "store", Retry(attempts=3, seconds=2), slept.append) == "read"
    assert slept == pauses


def test_pauses_double_up_to_a_minute_and_end_with_a_sentence():
    slept, flaky = [], Flaky(99)
    with pytest.raises(
        ScfmError, match=r"s3://store: cannot be read after 8 attempts \(Timeout was reached\)"
    ) as raised:
        patiently(flaky, (OSError,), "s3://store", Retry(attempts=8, seconds=2), slept.append)
    assert slept == [2, 4, 8, 16, 32, 60, 60]
    assert flaky.calls == 8
    assert "\n" not in str(raised.value)


def test_other_faults_are_not_repeated():
    flaky = Flaky(99, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        patiently(flaky, (OSError,), "store", Retry())
    assert flaky.calls == 1


@pytest.fixture
def flaky_counts(monkeypatch):
    """Function that makes reads of counts fail a number of times; it returns the list of calls."""
    original = SomaStore._triplets

    def install(failures):
        calls = []

        def read(store, *arguments):
            calls.append(arguments)
            if len(calls) <= failures:
                raise tiledbsoma.SOMAError("S3: Timeout was reached [HTTP Response Code: -1]")
            return original(store, *arguments)

        monkeypatch.setattr(SomaStore, "_triplets", read)
        return calls

    return install


def settings(local_soma, **source):
    soma = Soma(kind="soma", uri=str(local_soma), **source)
    return ScanSettings(source=soma, qc=CellQC(), block=200, retry=QUICK)


def test_a_part_read_at_the_third_attempt_is_the_same_part(local_soma, flaky_counts, tmp_path):
    scan(settings(local_soma), 0, 1, tmp_path / "calm")
    assert flaky_counts(2) == []
    scan(settings(local_soma), 0, 1, tmp_path / "flaky")
    for file in (tmp_path / "calm").iterdir():
        assert file.read_bytes() == (tmp_path / "flaky" / file.name).read_bytes()


def test_a_store_that_never_answers_leaves_nothing(local_soma, flaky_counts, tmp_path):
    calls = flaky_counts(99)
    with pytest.raises(ScfmError, match=r"cannot be read after 3 attempts \(S3: Timeout was reached"):
        scan(settings(local_soma), 0, 1, tmp_path / "part")
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_dies_midway_is_made_again_alone(local_soma, monkeypatch, tmp_path):
    for k in (0, 1):
        scan(settings(local_soma), k, 2, tmp_path / "whole" / f"part-{k}")
    original = SomaStore.read

    def dies(store, start, stop, joinids):
        if start > 300:
            raise KeyboardInterrupt
        return original(store, start, stop, joinids)

    scan(settings(local_soma), 0, 2, tmp_path / "again" / "part-0")
    monkeypatch.setattr(SomaStore, "read", dies)
    with pytest.raises(KeyboardInterrupt):
        scan(settings(local_soma), 1, 2, tmp_path / "again" / "part-1")
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["part-0"]
    monkeypatch.undo()
    scan(settings(local_soma), 1, 2, tmp_path / "again" / "part-1")
    for file in (tmp_path / "whole" / "part-1").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / "part-1" / file.name).read_bytes()


def test_a_wrong_filter_is_told_from_a_store_that_does_not_answer(local_soma, monkeypatch):
    asked, original = [], SomaStore._obs

    def first_fails(store, *arguments):
        asked.append(arguments)
        if len(asked) == 1:
            raise tiledbsoma.SOMAError("S3: Timeout was reached")
        return original(store, *arguments)

    monkeypatch.setattr(SomaStore, "_obs", first_fails)
    source = Soma(kind="soma", uri=str(local_soma), value_filter="tissue == 'blood'")
    with open_source(source, retry=QUICK) as store:
        assert set(store.obs(0, store.cells)["tissue"]) == {"blood"}
    for value_filter in ("tisue == 'blood'", "tissue = 'blood'", "tissue == 3"):
        wrong = source.model_copy(update={"value_filter": value_filter})
        with open_source(wrong, retry=QUICK) as store, pytest.raises(ScfmError, match="value_filter"):
            store.obs(0, 10)


def test_opening_is_repeated_too(local_soma, monkeypatch):
    original, calls = tiledbsoma.open, []

    def flaky(uri, **options):
        calls.append(uri)
        if len(calls) < 3:
            raise RuntimeError("S3: curlCode: 28, Timeout was reached")
        return original(uri, **options)

    monkeypatch.setattr("scfm.corpus.soma.soma.open", flaky)
    with open_source(Soma(kind="soma", uri=str(local_soma)), retry=QUICK) as store:
        assert store.counts(0, 1, np.array([0])).shape[0] == 1
    assert len(calls) == 3


def test_a_store_that_is_not_there_is_not_asked_again(tmp_path, monkeypatch):
    original, calls = tiledbsoma.open, []
    monkeypatch.setattr(
        "scfm.corpus.soma.soma.open", lambda uri, **options: calls.append(uri) or original(uri, **options)
    )
    with pytest.raises(ScfmError, match="cannot open it"), open_source(Soma(kind="soma", uri=str(tmp_path / "none"))):
        pass
    assert len(calls) == 1
