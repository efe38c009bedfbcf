"""The UNet in PyTorch, timed on request: the peer of `launch/benchmark.py --torch`, in a process of its own.

    python launch/torch_peer.py FEATURES BLOCKS SIDE BATCH THREADS

Channels last, float32, fused Adam. Prints the number of parameters, then answers each line "train SECONDS" or
"forward SECONDS" of the standard input by the best of the calls in that time, per second.
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional


class Norm(nn.Module):
    """Division by the standard deviation, times a gain, as `gahr.models.layers.BiasFreeBatchNorm`."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(2 / 9 / 64 * torch.randn(channels))
        self.register_buffer("sd", torch.ones(channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        sd = self.sd
        if self.training:
            sd = torch.sqrt(images.var((0, 2, 3), unbiased=False) + 1e-5)
            with torch.no_grad():
                self.sd.mul_(0.9).add_(0.1 * sd)
        return images * (self.gain / sd).view(1, -1, 1, 1)


def layer(channels: int, features: int, *, norm: bool = True) -> nn.Sequential:
    convolution = nn.Conv2d(channels, features, 3, padding=1, bias=False)
    return nn.Sequential(convolution, *[Norm(features)] * norm, nn.ReLU())


class UNet(nn.Module):
    """`gahr.models.unet.UNet` for grey images."""

    def __init__(self, features: int, num_blocks: int):
        super().__init__()
        widths = [features * 2**level for level in range(num_blocks + 1)]
        self.encoder, self.ups, self.decoder, channels = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), 1
        for level, width in enumerate(widths):
            self.encoder.append(nn.Sequential(layer(channels, width, norm=level > 0), layer(width, width)))
            channels = width
        for level in reversed(range(num_blocks)):
            width = widths[level]
            self.ups.append(nn.ConvTranspose2d(2 * width, width, 2, stride=2, bias=False))
            second = [layer(width, width)] if level > 0 else []
            self.decoder.append(nn.Sequential(layer(2 * width, width), *second))
        self.output = nn.Conv2d(features, 1, 3, padding=1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        skips = []
        for level in self.encoder[:-1]:
            images = level(images)
            skips.append(images)
            images = functional.avg_pool2d(images, 2)
        images = self.encoder[-1](images)
        for up, level in zip(self.ups, self.decoder, strict=True):
            images = level(torch.cat([up(images), skips.pop()], 1))
        return self.output(images)


def main(features: int, num_blocks: int, side: int, batch: int, threads: int) -> None:
    torch.set_num_threads(threads)
    network = UNet(features, num_blocks).to(memory_format=torch.channels_last)
    clean = torch.rand(batch, 1, side, side).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)

    def train() -> None:
        noisy = clean + torch.rand(batch, 1, 1, 1) * torch.randn_like(clean)
        loss = ((noisy - network(noisy) - clean) ** 2).sum((1, 2, 3)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    @torch.inference_mode()
    def forward() -> None:
        network(clean)

    calls = {"train": train, "forward": forward}
    train()
    print(sum(parameter.numel() for parameter in network.parameters()), flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        network.train(name == "train")
        best, end = float("inf"), time.perf_counter() + float(seconds)
        while (start := time.perf_counter()) < end or best == float("inf"):
            calls[name]()
            best = min(best, time.perf_counter() - start)
        print(1 / best, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
