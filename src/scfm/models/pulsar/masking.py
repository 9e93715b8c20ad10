"""Which elements of a target cell's vector are hidden, and the fill value that stands for them.

No source states how the released masker works. Here an element belongs to learned programs, a cell scores the
programs, and the elements that score highest are hidden. The masker climbs the error that the decoder descends, so it
learns to hide together what could be rebuilt from one another (after Shi et al. 2022, arXiv 2201.13100).
"""

import torch
from torch import Tensor, nn

from scfm.models.pulsar.settings import Masking
from scfm.models.pulsar.transformer import two_layers

JITTER = 0.01
"""Scale of the noise that orders the elements of one program; the programs' own has a scale of 1."""


def hidden_elements(ratio: float, width: int) -> int:
    """Elements of a cell that programs hide."""
    return round(ratio * width)


class ElementMask(nn.Module):
    """A learned fill value for each hidden element."""

    def __init__(self, settings: Masking, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.fill = nn.Parameter(torch.zeros(width))
        self.masker = Masker(settings, width) if settings.strategy == "correlated_program" else None

    def forward(self, x: Tensor, element_noise: Tensor, program_noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Hide elements.

        Args:
            x: [donors, targets, width]. The noise is as in `View`.

        Returns:
            x with fill values, and bool [donors, targets, width]: the element is hidden.
        """
        if self.masker is None:
            hidden = element_noise < self.settings.ratio
            return torch.where(hidden, self.fill, x), hidden
        hidden, pull = self.masker(x, element_noise, program_noise)
        return torch.where(hidden, self.fill, x) + pull * (self.fill - x).detach(), hidden


class Masker(nn.Module):
    """Programs of elements, and how much a cell wants each hidden."""

    def __init__(self, settings: Masking, width: int) -> None:
        super().__init__()
        self.hides = hidden_elements(settings.ratio, width)
        self.score = two_layers(width, settings.hidden, settings.programs)
        self.program = nn.Parameter(torch.zeros(width, settings.programs))

    def forward(self, x: Tensor, element_noise: Tensor, program_noise: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden elements, bool [donors, targets, width], and a zero of the same shape that carries their gradient.

        The gradient is that of a sigmoid around the score of the last hidden element, with the sign turned, so that a
        step that lowers the loss raises it here.
        """
        gumbel = -torch.log(-torch.log(program_noise.clamp(1e-6, 1 - 1e-6)))
        score = (self.score(x).float() + gumbel) @ self.membership().T + JITTER * element_noise
        chosen = score.topk(self.hides, dim=2)
        hidden = torch.zeros_like(score, dtype=torch.bool).scatter_(2, chosen.indices, True)
        soft = torch.sigmoid(score - chosen.values[..., -1:].detach())
        return hidden, soft.detach() - soft

    def membership(self) -> Tensor:
        """float [width, programs]; each element's sum to 1."""
        return self.program.float().softmax(1)

    def entropy(self) -> Tensor:
        """Mean entropy of an element's membership over its largest value, log programs: 0 is one program each."""
        log_share = self.program.float().log_softmax(1)
        return -(log_share.exp() * log_share).sum(1).mean() / torch.tensor(float(log_share.shape[1])).log()

    def unevenness(self) -> Tensor:
        """programs · Σ p² - 1 over the programs' sizes p (sum 1): 0 where each holds as few elements as it can."""
        size = self.membership().mean(0)
        return len(size) * (size**2).sum() - 1
