#!/usr/bin/env python3
"""Takes the first steps of every preset with PyTorch in double precision and writes what came of them to steps.json.

    pip install torch numpy
    python3 make.py

The numbers of each preset are written out here from its authors' sources, and not taken from the program:

  paper           arXiv:1511.06434, sections 3 and 4
  authors-*       github.com/Newmu/dcgan_code: faces/train_uncond_dcgan.py, svhn/svhn_semisup_analysis.py, imagenet/load_pretrained.py,
                  lib/ops.py, lib/updates.py, and the names and shapes of the folders in models/
  pytorch         the PyTorch DCGAN tutorial
  tensorflow      github.com/carpedm20/DCGAN-tensorflow: model.py, ops.py, main.py

Widths and sizes are tiny; weights, pictures and z's are sines of their positions, so that the test can write them down too. The
discriminator's running statistics move in its own update only, as the program documents.
"""

import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

SIZE, BASE, Z_DIM, BATCH, CHANNELS, START, LEAK, MOMENTUM = 16, 2, 5, 4, 3, 4, 0.2, 0.1
# Values of each tensor that are compared: those of the largest gradients, where one step's sign is beyond rounding.
SHOWN = 2

PAPER = dict(
    kernel=5, bias=False, unit_norm=False, unit_bias=False, epsilon=1e-8, same_padding=False, pairs=False,
    rate=2e-4, beta1=0.5, beta2=0.999, adam_epsilon=1e-8, l2=0.0, order="DG", same_z=False,
)
PRESETS = {
    "paper": PAPER,
    # k = 1: n_updates % 2 == 0 is the generator's, so the generator is first; every update has a batch of its own.
    "authors-faces": PAPER | dict(unit_norm=True, l2=1e-5, order="G|D"),
    "pytorch": PAPER | dict(kernel=4, epsilon=1e-5),
    "tensorflow": PAPER | dict(
        bias=True, unit_bias=True, epsilon=1e-5, same_padding=True, order="DGG", same_z=True,
    ),
    "authors-svhn": PAPER | dict(unit_norm=True, rate=5e-4),
    "paper-imagenet": PAPER | dict(kernel=3, unit_norm=True, pairs=True),
}


def sine(count, offset, step):
    return torch.tensor([math.sin(offset + step * i) for i in range(count)])


class Layer:
    def __init__(self, name, shape, bias, norm, stride):
        self.name, self.stride = name, stride
        self.learned = {"weight": shape}
        if bias:
            self.learned["bias"] = [bias]
        if norm:
            self.learned |= {"norm.gain": [norm], "norm.shift": [norm]}
        self.mean = torch.zeros(norm) if norm else None
        self.variance = torch.ones(norm) if norm else None

    def fill(self, number):
        for part, shape in self.learned.items():
            values = sine(math.prod(shape), 1.0 + 78.233 * number, 12.9898).reshape(shape)
            scale, middle = {"weight": (0.2, 0.0), "norm.gain": (0.1, 1.0)}.get(part, (0.1, 0.0))
            self.learned[part] = (middle + scale * values).requires_grad_()
            number += 1
        return number

    def norm(self, x, epsilon, moves):
        if self.mean is None:
            return x
        whole = x.shape
        if self.mean.numel() != x.shape[1]:
            x = x.flatten(1)
        mean, variance = (self.mean, self.variance) if moves else (self.mean.clone(), self.variance.clone())
        gain, shift = self.learned["norm.gain"], self.learned["norm.shift"]
        return F.batch_norm(x, mean, variance, gain, shift, True, MOMENTUM, epsilon).reshape(whole)

    def biased(self, x):
        bias = self.learned.get("bias")
        if bias is None:
            return x
        return x + (bias.reshape(1, *x.shape[1:]) if bias.numel() != x.shape[1] else bias.reshape(1, -1, 1, 1))


def zeros_before_and_behind(kernel, stride, same):
    """Of a convolution whose output has 1/stride of the input's side."""
    before = (kernel - stride) // 2 if same else (kernel - 1) // 2
    return before, kernel - stride - before


def networks(p):
    stages = SIZE.bit_length() - 1 - 2
    widths = [BASE << (stages - 1 - level) for level in range(stages)]
    strides, between = [], []
    for level in range(stages):
        narrow, wide = widths[level], (widths + [CHANNELS])[level + 1]
        if p["pairs"]:
            between += [(narrow, 2), (wide, 1)]
        else:
            between += [(wide, 2)]
    bias = lambda maps: maps if p["bias"] else 0
    units = widths[0] * START * START
    generator = [Layer(
        "project", [Z_DIM, widths[0], START, START],
        (units if p["unit_bias"] else widths[0]) if p["bias"] else 0, units if p["unit_norm"] else widths[0], 0,
    )]
    maps = widths[0]
    for i, (to, stride) in enumerate(between):
        last = i + 1 == len(between)
        shape = [maps, to, p["kernel"], p["kernel"]]
        generator.append(Layer(f"up{i + 1}", shape, bias(to), 0 if last else to, stride))
        maps = to
    discriminator, maps = [], CHANNELS
    for level in reversed(range(stages)):
        for stride in [1, 2] if p["pairs"] else [2]:
            to, first = widths[level], not discriminator
            shape = [to, maps, p["kernel"], p["kernel"]]
            layer = Layer(f"down{len(discriminator) + 1}", shape, bias(to), 0 if first else to, stride)
            discriminator.append(layer)
            maps = to
    discriminator.append(Layer("head", [1, maps, START, START], bias(1), 0, 0))
    return generator, discriminator


def draw(p, generator, z):
    first = generator[0].learned["weight"]
    x = (z @ first.flatten(1)).reshape(-1, *first.shape[1:])
    x = F.relu(generator[0].norm(generator[0].biased(x), p["epsilon"], True))
    for layer in generator[1:]:
        side = x.shape[2] * layer.stride
        before, _ = zeros_before_and_behind(p["kernel"], layer.stride, p["same_padding"])
        # The transpose of a convolution of padded maps: what falls on the padding is cut off.
        x = F.conv_transpose2d(x, layer.learned["weight"], stride=layer.stride)
        x = F.pad(x, (0, max(0, before + side - x.shape[3]), 0, max(0, before + side - x.shape[2])))
        x = layer.biased(x[:, :, before:before + side, before:before + side])
        x = torch.tanh(x) if layer is generator[-1] else F.relu(layer.norm(x, p["epsilon"], True))
    return x


def judge(p, discriminator, x, moves):
    for layer in discriminator[:-1]:
        before, behind = zeros_before_and_behind(p["kernel"], layer.stride, p["same_padding"])
        x = F.conv2d(F.pad(x, (before, behind, before, behind)), layer.learned["weight"], stride=layer.stride)
        x = F.leaky_relu(layer.norm(layer.biased(x), p["epsilon"], moves), LEAK)
    head = discriminator[-1]
    return head.biased(F.conv2d(x, head.learned["weight"])).flatten()


def first_steps(p):
    generator, discriminator = networks(p)
    number = 0
    for layer in generator:
        number = layer.fill(number)
    number = 100
    for layer in discriminator:
        number = layer.fill(number)
    of = lambda layers: [tensor for layer in layers for tensor in layer.learned.values()]
    adam = lambda layers: torch.optim.Adam(
        of(layers), lr=p["rate"], betas=(p["beta1"], p["beta2"]), eps=p["adam_epsilon"], weight_decay=p["l2"],
    )
    optimizers = {"G": adam(generator), "D": adam(discriminator)}
    losses = []
    for step, updates in enumerate(p["order"].split("|"), 1):
        real = sine(BATCH * CHANNELS * SIZE * SIZE, 0.3 + step, 4.7).reshape(BATCH, CHANNELS, SIZE, SIZE)
        loss = {"D": None, "G": None}
        of_generator, pictures = 0, None
        for update in updates:
            if pictures is None:
                drawn_by = 0 if p["same_z"] else of_generator
                z = sine(BATCH * Z_DIM, 0.5 + 9.1 * (16 * step + drawn_by), 2.3).reshape(BATCH, Z_DIM)
                pictures = draw(p, generator, z)
            for optimizer in optimizers.values():
                optimizer.zero_grad()
            if update == "D":
                on_real = judge(p, discriminator, real, True)
                on_drawn = judge(p, discriminator, pictures.detach(), True)
                value = F.softplus(-on_real).mean() + F.softplus(on_drawn).mean()
                value.backward()
            else:
                value = F.softplus(-judge(p, discriminator, pictures, False)).mean()
                value.backward()
                of_generator, pictures = of_generator + 1, None
            optimizers[update].step()
            loss[update] = value.item()
        losses.append([loss["D"], loss["G"]])
    tensors = {}
    digits = lambda values: [float(f"{value:.9g}") for value in values]
    for network, layers, optimizer in [("generator", generator, "G"), ("discriminator", discriminator, "D")]:
        for layer in layers:
            for part, tensor in layer.learned.items():
                moment = optimizers[optimizer].state[tensor]["exp_avg"].flatten()
                at = moment.abs().argsort(descending=True)[:SHOWN].tolist()
                value = tensor.detach().flatten()
                tensors[f"{network}.{layer.name}.{part}"] = {
                    "at": at, "value": digits(value[at].tolist()), "moment": digits(moment[at].tolist()),
                }
            for part, tensor in [("norm.mean", layer.mean), ("norm.variance", layer.variance)]:
                if tensor is not None:
                    at = [0, tensor.numel() - 1]
                    tensors[f"{network}.{layer.name}.{part}"] = {"at": at, "value": digits(tensor[at].tolist())}
    return {"losses": losses, "tensors": tensors}


with open("steps.json", "w") as file:
    presets = [f' "{name}": ' + json.dumps(first_steps(p)) for name, p in PRESETS.items()]
    file.write("{\n" + ",\n".join(presets) + "\n}\n")
