"""The moving average of the weights, which is validated and written in their place."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Average:
    """An exponential moving average of a network's weights, or, with a decay of 0, the network itself.

    Of the weights w₁, w₂, … after each update, the average is a₁ = w₁ and

        aₙ₊₁ = dₙ · aₙ + (1 − dₙ) · wₙ₊₁ with dₙ = min(decay, (1 + n) / (10 + n)).

    The smaller decay at the beginning lets the first weights be forgotten: below `decay`, the average reaches back over
    some tenth of the training. Buffers are those of the network. Processes with the same weights have the same average,
    and tell each other nothing for it.

    Args:
        network: on its device. decay: from 0 to below 1.

    Attributes:
        network: what is validated and written.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = AveragedModel(network) if decay else None
        self.network = self._model.module if self._model else network

    def update(self, network: nn.Module) -> None:
        """Take in the weights after one update."""
        if self._model:
            done = int(self._model.n_averaged)  # on the CPU: no device is waited for
            self._model.multi_avg_fn = get_ema_multi_avg_fn(min(self.decay, (1 + done) / (10 + done)))
            self._model.update_parameters(network)

    def state_dict(self) -> dict:
        """The average and of how many updates it is; empty where there is none."""
        return self._model.state_dict() if self._model else {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what `state_dict` gave."""
        if self._model:
            self._model.load_state_dict(state)
