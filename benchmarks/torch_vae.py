"""A VAE's training step in PyTorch, see `vae_step`."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import silu, softplus


class Residual(nn.Module):
    """Two convolutions beside the straight way."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions find."""
        return x + self.second(silu(self.first(silu(x))))


def step(images: np.ndarray, filters: int, depth: int, layout: str) -> Callable[[], float]:
    """One step of the usual loop, networks and images in the given memory layout."""
    f, memory_format = filters, getattr(torch, layout)
    encoder = nn.Sequential(nn.Conv2d(3, f, 4, 2, 1), Residual(f), nn.Conv2d(f, 2 * f, 4, 2, 1), Residual(2 * f))
    heads = nn.Conv2d(2 * f, depth, 1), nn.Conv2d(2 * f, depth, 1)
    decoder = nn.Sequential(
        nn.Conv2d(depth, 2 * f, 3, padding=1),
        Residual(2 * f),
        nn.ConvTranspose2d(2 * f, f, 4, 2, 1),
        Residual(f),
        nn.ConvTranspose2d(f, 6, 4, 2, 1),
    )
    networks = nn.ModuleList([encoder, *heads, decoder]).to(memory_format=memory_format)
    real = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3)

    def run() -> float:
        x = encoder(real)
        mean, log_variance = (head(x) for head in heads)
        latents = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        centre, log_scale = decoder(latents).chunk(2, dim=1)
        precision = torch.exp(-log_scale.clamp(-7, 7))
        above, below = (real - centre + 1 / 255) * precision, (real - centre - 1 / 255) * precision
        inner = torch.log(-torch.expm1(-2 / 255 * precision))
        up_to, from_on = -softplus(-above), -softplus(below)
        log_prob = torch.where(
            real < -1 + 1 / 255, up_to, torch.where(real > 1 - 1 / 255, from_on, up_to + from_on + inner)
        )
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
        loss = (kl.flatten(1).sum(1) - log_prob.flatten(1).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run
