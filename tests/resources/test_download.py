"""Downloads over HTTP: resumed, repeated, refused."""

import socket

import pytest

from scfm.errors import ScfmError
from scfm.resources.download import Retries, download


@pytest.fixture
def partial(tmp_path):
    return tmp_path / "file.part"


def test_whole_file(site, partial, quick):
    answer = download(site.url, partial, quick)
    assert partial.read_bytes() == site.body
    assert (answer.length_known, answer.modified) == (True, "2025-03-05")
    assert site.asked == [None]


def test_a_cut_connection_is_resumed_where_it_broke(site, partial, quick):
    site.cuts = [1000, 500]
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body
    assert site.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_a_later_run_goes_on_from_the_partial_file(site, partial):
    site.cuts = [1000]
    with pytest.raises(ScfmError, match="truncated, 101,400 of the announced bytes did not come"):
        download(site.url, partial, Retries(attempts=1))
    assert partial.stat().st_size == 1000
    download(site.url, partial, Retries(attempts=1))
    assert partial.read_bytes() == site.body
    assert site.asked[-1] == "bytes=1000-"


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, partial, quick):
    site.cuts = [1000]
    with pytest.raises(ScfmError, match="truncated"):
        download(site.url, partial, Retries(attempts=1))
    site.body, site.etag = b"new" * 50_000, '"second"'
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body


def test_bytes_of_another_address_are_not_kept(site, partial, quick):
    site.cuts = [1000]
    with pytest.raises(ScfmError, match="truncated"):
        download(site.url, partial, Retries(attempts=1))
    download(site.url + "?other", partial, quick)
    assert site.asked[-1] is None
    assert partial.read_bytes() == site.body


def test_bytes_of_unknown_origin_are_not_kept(site, partial, quick):
    partial.write_bytes(b"x" * 1000)
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body


def test_a_weak_etag_is_replaced_by_the_date(site, partial, quick):
    site.etag, site.cuts = 'W/"weak"', [1000]
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body
    assert site.asked == [None, "bytes=1000-"]


def test_a_server_without_ranges_starts_over(site, partial, quick):
    site.ranges, site.cuts = False, [1000]
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body


def test_a_complete_partial_file_needs_no_byte_more(site, partial, quick):
    download(site.url, partial, quick)
    download(site.url, partial, quick)
    assert site.asked[-1] == f"bytes={len(site.body)}-"
    assert partial.read_bytes() == site.body


def test_an_unknown_length_is_said(site, partial, quick):
    site.length = False
    assert not download(site.url, partial, quick).length_known
    assert partial.read_bytes() == site.body


def test_progress_renews_the_attempts(site, partial):
    site.cuts = [100] * 6
    download(site.url, partial, Retries(attempts=2, backoff=0.0))
    assert partial.read_bytes() == site.body


def test_no_progress_ends_after_the_attempts(site, partial, quick):
    site.cuts = [0] * 9
    with pytest.raises(ScfmError, match="truncated"):
        download(site.url, partial, quick)
    assert len(site.asked) == quick.attempts


def test_a_busy_server_is_asked_again(site, partial, quick):
    site.statuses = [503, 429]
    download(site.url, partial, quick)
    assert partial.read_bytes() == site.body


def test_not_found_is_not_repeated(site, partial, quick):
    site.statuses = [404] * 3
    with pytest.raises(ScfmError, match="404 Not Found; correct the url"):
        download(site.url, partial, quick)
    assert len(site.asked) == 1


def test_refused_connection_is_one_sentence(partial, quick):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ScfmError, match=f"127.0.0.1:{port}.*the server cannot be reached; check the connection"):
        download(f"http://127.0.0.1:{port}/file", partial, quick)
    assert not partial.exists()
