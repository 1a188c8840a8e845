"""Writes the files in `readings`: tiny generators of many strides and paddings as other programs save them, settled so that their
batch norm has the running statistics of their own pictures, and `readings.json` with a z and some values of what each draws.

They are in the repository, so that the tests need no Python. To make them anew: `python3 readings.py`, in this folder.
"""

import json
import os
import struct

import torch
from torch import nn

torch.manual_seed(2)
Z = 6


def up(i, o, k, s, p, extra=0):
    return nn.ConvTranspose2d(i, o, k, s, p, extra, bias=False)


def same(i, o, k):
    return nn.Conv2d(i, o, k, 1, k // 2, bias=False)


def norm(maps, leak=0.0, **more):
    return [nn.BatchNorm2d(maps, **more), nn.LeakyReLU(leak)]


class Net(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, z):
        return self.main(z[:, :, None, None])


class Tutorial(nn.Module):
    """TensorFlow's DCGAN tutorial: 7x7, 5x5 of stride 1, then twice of stride 2, epsilon 1e-3 and LeakyReLU 0.3."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(Z, 8 * 49, bias=False)
        self.bn = nn.BatchNorm1d(8 * 49, eps=1e-3)
        self.main = nn.Sequential(
            *(up(8, 6, 5, 1, 2), *norm(6, 0.3, eps=1e-3)),
            *(up(6, 4, 5, 2, 2, 1), *norm(4, 0.3, eps=1e-3)),
            *(up(4, 1, 5, 2, 2, 1), nn.Tanh()),
        )
        for parameter in self.parameters():
            # Small, so that the epsilon matters.
            if parameter.dim() > 1:
                parameter.data *= 0.2

    def forward(self, z):
        x = nn.functional.leaky_relu(self.bn(self.dense(z)), 0.3)
        return self.main(x.view(-1, 8, 7, 7))


class Upsampled(nn.Module):
    """PyTorch-GAN's: nearest neighbors, then 3x3 of stride 1, with what it takes for a momentum as the epsilon."""

    def __init__(self):
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(Z, 8 * 64))
        grow = nn.Upsample(scale_factor=2)
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(8),
            *(grow, nn.Conv2d(8, 8, 3, 1, 1), *norm(8, 0.2, eps=0.8)),
            *(grow, nn.Conv2d(8, 6, 3, 1, 1), *norm(6, 0.2, eps=0.8)),
            *(nn.Conv2d(6, 1, 3, 1, 1), nn.Tanh()),
        )

    def forward(self, z):
        return self.conv_blocks(self.l1(z).view(-1, 8, 8, 8))


class Classes(nn.Module):
    """A row for each of three classes, after z, before it, or multiplied with it."""

    def __init__(self, join):
        super().__init__()
        self.join = join
        self.label_emb = nn.Embedding(3, Z if join == "times" else 3)
        inputs = Z if join == "times" else Z + 3
        self.main = nn.Sequential(
            *(up(inputs, 10, 4, 1, 0), *norm(10)), *(up(10, 8, 4, 2, 1), *norm(8)), *(up(8, 1, 4, 2, 1), nn.Tanh())
        )

    def forward(self, z, classes=None):
        classes = torch.randint(0, 3, (len(z),)) if classes is None else classes
        row = self.label_emb(classes)
        x = {"after": lambda: torch.cat([z, row], 1), "before": lambda: torch.cat([row, z], 1), "times": lambda: z * row}
        return self.main(x[self.join]()[:, :, None, None])


first = lambda: [up(Z, 10, 4, 1, 0), *norm(10)]
nets = {
    "extra": Net(*first(), up(10, 8, 4, 2, 1), *norm(8), same(8, 8, 3), *norm(8), up(8, 6, 4, 2, 1), *norm(6), up(6, 3, 4, 2, 1), nn.Tanh()),
    "tutorial": Tutorial(),
    "four-seven": Net(*first(), up(10, 8, 3, 2, 1), *norm(8), up(8, 6, 4, 2, 1), *norm(6), up(6, 1, 4, 2, 1), nn.Tanh()),
    "unpadded": Net(up(Z, 10, 3, 2, 0), *norm(10), up(10, 8, 4, 1, 0), *norm(8), up(8, 6, 3, 2, 0), *norm(6), up(6, 1, 4, 2, 0), nn.Tanh()),
    "last-seven": Net(*first(), up(10, 8, 4, 2, 1), *norm(8), up(8, 6, 4, 2, 1), *norm(6), up(6, 6, 4, 2, 1), *norm(6), same(6, 3, 7), nn.Tanh()),
    "six-two": Net(*first(), up(10, 8, 6, 2, 2), *norm(8), up(8, 6, 2, 2, 0), *norm(6), same(6, 6, 1), *norm(6), up(6, 3, 4, 2, 1), nn.Tanh()),
    "square": Net(*first(), up(10, 10, 3, 1, 1), *norm(10), up(10, 8, 4, 2, 1), *norm(8), same(8, 8, 3), *norm(8), up(8, 1, 4, 2, 1), nn.Tanh()),
    "cropped": Net(*first(), up(10, 8, 4, 2, 1), *norm(8), up(8, 6, 4, 2, 1), *norm(6), up(6, 4, 4, 2, 1), *norm(4), up(4, 1, 1, 1, 2), nn.Tanh()),
    "upsampled": Upsampled(),
    "after": Classes("after"),
    "before": Classes("before"),
    "times": Classes("times"),
}


def save(path, tensors):
    """Safetensors, of plain floats."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        if tensor.dim() == 0:
            continue
        values = tensor.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


os.makedirs("readings", exist_ok=True)
told = {}
for name, net in nets.items():
    with torch.no_grad():
        for _ in range(200):
            net.train()(torch.randn(64, Z))
        z = torch.randn(1, Z)
        net.eval()
        pictures = net(z, torch.tensor([2])) if isinstance(net, Classes) else net(z)
    save(f"readings/{name}.safetensors", net.state_dict())
    values = pictures.reshape(-1)
    told[name] = {
        "z": [round(v, 6) for v in z[0].tolist()],
        "size": pictures.shape[-1],
        "values": [round(v, 5) for v in values[:: max(1, len(values) // 97)].tolist()],
    }
    # The z as it is written.
    with torch.no_grad():
        z = torch.tensor([told[name]["z"]])
        pictures = net(z, torch.tensor([2])) if isinstance(net, Classes) else net(z)
    told[name]["values"] = [round(v, 5) for v in pictures.reshape(-1)[:: max(1, len(values) // 97)].tolist()]
json.dump(told, open("readings/readings.json", "w"))
