"""DCGAN's training step as PyTorch's tutorial has it, see `dcgan_step`."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import nn


def step(images: np.ndarray, latent: int, layout: str) -> Callable[[], float]:
    """One step of the tutorial's loop, networks and images in the given memory layout."""
    batch, memory_format = len(images), getattr(torch, layout)
    generator, discriminator = (
        n.to(memory_format=memory_format).train() for n in (generator_network(latent), discriminator_network())
    )
    real = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    of_generator, of_discriminator = (
        torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (generator, discriminator)
    )
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)

    def run() -> float:
        discriminator.zero_grad()
        criterion(discriminator(real), ones).backward()
        fake = generator(torch.randn(batch, latent, 1, 1))
        criterion(discriminator(fake.detach()), zeros).backward()
        of_discriminator.step()
        generator.zero_grad()
        loss = criterion(discriminator(fake), ones)
        loss.backward()
        of_generator.step()
        return loss.item()

    return run


def generator_network(latent: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise((latent, 512, 256, 128, 64))):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh())


def discriminator_network() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs in itertools.pairwise((64, 128, 256, 512)):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4), nn.Flatten())
