"""What the Hugging Face Hub, the network or the disk refuses, as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from scfm.errors import ScfmError, refusal


def package() -> ModuleType:
    """`huggingface_hub`, imported when it is needed.

    Raises:
        ScfmError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ScfmError("huggingface_hub: is not installed; install it with pip install 'scfm[hub]'") from error
    return huggingface_hub


@contextmanager
def hub_sentences(name: str, revision: str | None = None) -> Iterator[None]:
    """Run a block that talks to the Hub about the model `name`, `hf:owner/name`.

    Raises:
        ScfmError: the Hub cannot be reached or refuses, or the disk does.
    """
    try:
        yield
    except ScfmError:
        raise
    except Exception as error:
        sentence = _sentence(_chain(error), name, revision)
        refused = ScfmError(sentence) if sentence else refusal(error)
        if refused is None:
            raise
        raise refused from error


def _sentence(chain: list[BaseException], name: str, revision: str | None) -> str | None:
    from huggingface_hub import constants, errors

    def first(*kinds: type) -> BaseException | None:
        return next((link for link in chain if isinstance(link, kinds)), None)

    if answer := first(errors.HfHubHTTPError):
        return _answer(answer, name, revision)
    if first(errors.OfflineModeIsEnabled):
        return f"{name}: is not in the cache, and HF_HUB_OFFLINE forbids to fetch it; unset it"
    if first(errors.HTTPError, ConnectionError):  # HTTPError: of the client, without an answer
        return f"{name}: the Hub at {constants.ENDPOINT} cannot be reached; check the network, or HF_ENDPOINT"
    if first(errors.LocalEntryNotFoundError):
        return f"{name}: is not whole in the cache, and the Hub at {constants.ENDPOINT} gives no answer; try again"
    if first(errors.HFValidationError):
        return f"{name}: is no name that the Hub takes ({_line(chain[0])}); choose another"
    for link in chain:
        if isinstance(link, ValueError) and "Invalid metadata in README.md" in str(link):
            return f"{name}: the Hub refuses the card ({_line(link)}); is the licence one of its identifiers?"
        if isinstance(link, OSError) and "Consistency check failed" in str(link):
            return f"{name}: a file came incomplete; try again"
    return None


def _answer(error, name: str, revision: str | None) -> str:
    """For an answer of the Hub that is an error."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    code = error.response.status_code
    log_in = "log in (hf auth login) or give a token"
    if isinstance(error, RevisionNotFoundError):
        return f"{name}: has no revision '{revision}'; check it on the Hub"
    if isinstance(error, RepositoryNotFoundError) or code == 404:
        return f"{name}: not found on the Hub, or private ({code}); check the name, {log_in} that may see it"
    if code == 401:
        return f"{name}: the Hub does not know you (401); {log_in}"
    if code == 403:
        return f"{name}: you have no right to do this (403); {log_in} with that right, or name another owner"
    said = f", {_line(error.server_message)}" if error.server_message else ""
    return f"{name}: the Hub answered with error {code}{said}; try again later"


def _line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and its causes."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
