"""Which validation was the best so far."""

import math

from torch import nn

from scfm.models.tasks import Task


def weighted_loss(means: dict[str, float], tasks: dict[str, Task]) -> float:
    """Σ w·loss / Σ w over the objectives that had a target; infinite where none had.

    Args:
        means: `validate_` and the name of the objective to its mean, NaN without target. tasks: for their weights.
    """
    known = {name: means[f"validate_{name}"] for name in tasks if not math.isnan(means[f"validate_{name}"])}
    weights = sum(tasks[name].weight for name in known)
    return sum(tasks[name].weight * mean for name, mean in known.items()) / weights if weights else math.inf


def better(best: dict | None, loss: float, epoch: int, network: nn.Module) -> dict:
    """What to remember after a validation: loss, epoch and a copy of the weights; of equal losses the earlier one."""
    if best is not None and best["loss"] <= loss:
        return best
    weights = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
    return {"loss": loss, "epoch": epoch, "network": weights}
