#!/usr/bin/env python3
"""The peer of `zscape bench`: the same networks and the same training step in PyTorch, timed. Prints one JSON object a line.

    peer.py step [--device cpu|cuda] [--base 64] [--kernel 4|5] [--batch 64] [--steps 20] [--channels-last] [--bf16] [--compile]
    peer.py ceilings [--device cuda]      copy bandwidth and matrix products of the card

Networks of the preset `pytorch`: 64x64, 3 channels, z of 100 values. The losses of a step are read once, at its end, as zscape
reads them. Times are medians, in milliseconds.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn

WARM = 4


def networks(base, kernel, device):
    up = {"kernel_size": 4, "stride": 2, "padding": 1} if kernel == 4 else {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1}
    down = {"kernel_size": kernel, "stride": 2, "padding": kernel // 2 if kernel == 5 else 1}
    maps = [base * 8, base * 4, base * 2, base]
    g = [nn.ConvTranspose2d(100, maps[0], 4, 1, 0, bias=False), nn.BatchNorm2d(maps[0]), nn.ReLU(True)]
    for i, o in zip(maps, maps[1:]):
        g += [nn.ConvTranspose2d(i, o, bias=False, **up), nn.BatchNorm2d(o), nn.ReLU(True)]
    g += [nn.ConvTranspose2d(base, 3, bias=False, **up), nn.Tanh()]
    d = [nn.Conv2d(3, base, bias=False, **down), nn.LeakyReLU(0.2, True)]
    for i, o in zip(maps[::-1], maps[::-1][1:]):
        d += [nn.Conv2d(i, o, bias=False, **down), nn.BatchNorm2d(o), nn.LeakyReLU(0.2, True)]
    d += [nn.Conv2d(base * 8, 1, 4, 1, 0, bias=False)]
    both = nn.Sequential(*g).to(device), nn.Sequential(*d).to(device)
    for network in both:
        for module in network:
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(module.weight, 0.0, 0.02)
    return both


def median(run, sync, count):
    times = []
    for i in range(WARM + count):
        began = time.perf_counter()
        run()
        sync()
        if i >= WARM:
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


def step(a):
    torch.manual_seed(1)
    generator, discriminator = networks(a.base, a.kernel, a.device)
    if a.channels_last:
        generator = generator.to(memory_format=torch.channels_last)
        discriminator = discriminator.to(memory_format=torch.channels_last)
    g, d = (torch.compile(generator), torch.compile(discriminator)) if a.compile else (generator, discriminator)
    adam = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (generator, discriminator)]
    loss = nn.BCEWithLogitsLoss()
    sync = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    precision = {"device_type": a.device, "dtype": torch.bfloat16, "enabled": a.bf16}
    real = torch.rand(a.batch, 3, 64, 64, device=a.device) * 2 - 1
    one, zero = torch.ones(a.batch, device=a.device), torch.zeros(a.batch, device=a.device)

    def train():
        z = torch.rand(a.batch, 100, 1, 1, device=a.device) * 2 - 1
        with torch.autocast(**precision):
            discriminator.zero_grad(set_to_none=True)
            drawn = g(z)
            loss_d = loss(d(real).view(-1).float(), one) + loss(d(drawn.detach()).view(-1).float(), zero)
        loss_d.backward()
        adam[1].step()
        with torch.autocast(**precision):
            generator.zero_grad(set_to_none=True)
            discriminator.requires_grad_(False)
            loss_g = loss(d(drawn).view(-1).float(), one)
        loss_g.backward()
        discriminator.requires_grad_(True)
        adam[0].step()

    step_ms = median(train, sync, a.steps)
    memory = torch.cuda.max_memory_allocated() / 2**20 if a.device == "cuda" else None
    generator.eval()
    drawing = {}
    for count in (1, 64):
        z = torch.rand(count, 100, 1, 1, device=a.device) * 2 - 1
        with torch.no_grad(), torch.autocast(**precision):
            drawing[count] = median(lambda: g(z), sync, 30)
    return {
        "peer": f"PyTorch {torch.__version__}", "base": a.base, "kernel": a.kernel, "batch": a.batch, "bf16": a.bf16,
        "compile": a.compile, "channels_last": a.channels_last, "step_ms": step_ms, "images_per_s": a.batch / step_ms * 1e3,
        "infer1_ms": drawing[1], "infer64_ms": drawing[64], "memory_mib": memory,
    }


def ceilings(a):
    """Bytes a second read and written by a copy of 1 GiB, and TFLOP/s of products of 8192 x 8192 matrices."""
    sync = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    found = {"device": torch.cuda.get_device_name() if a.device == "cuda" else "CPU"}
    source = torch.rand(2**28, device=a.device)
    target = torch.empty_like(source)
    found["copy_gb_per_s"] = 2 * source.numel() * 4 / median(lambda: target.copy_(source), sync, 10) / 1e6
    n = 8192
    for name, dtype, tf32 in (("f32", torch.float32, False), ("tf32", torch.float32, True), ("f16", torch.float16, True)):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        x, y = torch.rand(n, n, device=a.device, dtype=dtype), torch.rand(n, n, device=a.device, dtype=dtype)
        found[f"product_{name}_tflops"] = 2 * n**3 / median(lambda: x @ y, sync, 5) / 1e9
    return found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["step", "ceilings"])
    p.add_argument("--device", default="cpu")
    p.add_argument("--base", type=int, default=64)
    p.add_argument("--kernel", type=int, default=4, choices=[4, 5])
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--compile", action="store_true")
    a = p.parse_args()
    print(json.dumps(step(a) if a.what == "step" else ceilings(a)))


if __name__ == "__main__":
    main()
