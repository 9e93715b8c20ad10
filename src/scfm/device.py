"""Where a network computes."""

from scfm.errors import ScfmError


def torch_device(name: str) -> str:
    """PyTorch's name of `auto` (a GPU if one is visible), `cpu` or `gpu`.

    Raises:
        ScfmError: another name, or no GPU is visible where one is asked for.
    """
    import torch

    if name not in ("auto", "cpu", "gpu"):
        raise ScfmError(f"device: '{name}' is not known; choose auto, cpu or gpu")
    there = torch.cuda.is_available()
    if name == "gpu" and not there:
        raise ScfmError("device: 'gpu' is asked for and none is visible; choose auto or cpu")
    return "cuda" if there and name != "cpu" else "cpu"
