"""Writes the files beside it: tiny DCGANs as PyTorch 2 saves them, and what they draw.

They are in the repository, so that the tests need no Python. To make them anew: `python3 make.py`, in this folder.
"""

import argparse
import os

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)


def shake(net):
    """Gives batch norm statistics that would show if they were mixed up."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
            module.weight.data.normal_(1, 0.2)
            module.bias.data.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


class Net(nn.Module):
    """A network under the tutorial's names."""

    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, x):
        return self.main(x)


class Odd(nn.Module):
    """A generator with names in no order, a fully connected projection, biases, 5x5 kernels and a sigmoid."""

    def __init__(self):
        super().__init__()
        self.conv_out = nn.ConvTranspose2d(2, 3, 5, 2, 2, 1)
        self.b_bn = nn.BatchNorm2d(2)
        self.zz = nn.Linear(7, 5 * 16)
        self.a_bn = nn.BatchNorm1d(5 * 16)
        self.mid = nn.ConvTranspose2d(5, 2, 5, 2, 2, 1)

    def forward(self, z):
        h = torch.relu(self.a_bn(self.zz(z))).view(-1, 5, 4, 4)
        h = torch.relu(self.b_bn(self.mid(h)))
        return torch.sigmoid(self.conv_out(h))


class Evil:
    """Has a shell called by whoever unpickles it."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


up = lambda *sizes: nn.ConvTranspose2d(*sizes, bias=False)
down = lambda *sizes: nn.Conv2d(*sizes, bias=False)
generator = shake(
    Net(
        *(up(6, 4, 4, 1, 0), nn.BatchNorm2d(4), nn.ReLU(True)),
        *(up(4, 2, 4, 2, 1), nn.BatchNorm2d(2), nn.ReLU(True)),
        *(up(2, 1, 4, 2, 1), nn.Tanh()),
    )
)
discriminator = shake(
    Net(
        *(down(1, 3, 4, 2, 1), nn.LeakyReLU(0.2)),
        *(down(3, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.2)),
        *(down(6, 1, 4, 1, 0), nn.Sigmoid()),
    )
)
z = torch.randn(3, 6)
np.save("z.npy", z.numpy())
np.save("pictures.npy", generator(z[:, :, None, None]).detach().numpy())

torch.save(generator.state_dict(), "netG.pth")
torch.save(discriminator.state_dict(), "netD.pth")
torch.save(generator.state_dict(), "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(generator, "whole.ckpt")
optimiser = torch.optim.Adam(generator.parameters(), lr=0.0)
generator(z[:, :, None, None]).sum().backward()
optimiser.step()
torch.save(
    {
        "epoch": 3,
        "netG": nn.DataParallel(generator).state_dict(),
        "netD": discriminator.state_dict(),
        "optG": optimiser.state_dict(),
        "args": argparse.Namespace(lr=0.1),
        "losses": [1.0, 2.0],
    },
    "nested.tar",
)
odd = shake(Odd())
z = torch.randn(3, 7)
np.save("odd-z.npy", z.numpy())
np.save("odd-pictures.npy", (odd(z) * 2 - 1).detach().numpy())
torch.save({"state_dict": odd.state_dict()}, "odd.pth")
torch.save({"netG": generator.state_dict(), "extra": Evil()}, "evil.pth")

# Networks unlike the tutorial's: 3x3 and 2x2 kernels, LeakyReLU, weights under spectral and weight normalisation as PyTorch
# keeps them since 1.0 (by hooks) and since 2.0 (by parametrisations).
rectify = lambda: nn.LeakyReLU(0.2)
unlike = Net(
    *(nn.ConvTranspose2d(6, 5, 4, 1, 0), nn.BatchNorm2d(5), rectify()),
    *(nn.ConvTranspose2d(5, 4, 3, 2, 1, 1), nn.BatchNorm2d(4), rectify()),
    *(nn.ConvTranspose2d(4, 1, 2, 2, 0), nn.Tanh()),
)
nn.utils.parametrizations.weight_norm(unlike.main[3])
nn.utils.parametrizations.spectral_norm(unlike.main[0])
nn.utils.spectral_norm(unlike.main[6])
shake(unlike)
judge = Net(
    *(nn.Conv2d(1, 4, 3, 2, 1), rectify()),
    *(nn.Conv2d(4, 6, 3, 2, 1), rectify()),
    *(nn.Conv2d(6, 1, 4, 1, 0),),
)
nn.utils.spectral_norm(judge.main[0])
nn.utils.parametrizations.spectral_norm(judge.main[2])
nn.utils.weight_norm(judge.main[4])
with torch.no_grad():
    for module in [unlike, judge]:
        for _ in range(3):
            module.train()(torch.randn(4, *((6, 1, 1) if module is unlike else (1, 16, 16))))
        module.eval()
z = torch.randn(3, 6)
drawn = unlike(z[:, :, None, None])
np.save("unlike-z.npy", z.numpy())
np.save("unlike-pictures.npy", drawn.detach().numpy())
np.save("unlike-verdicts.npy", judge(drawn).detach().numpy().reshape(-1))
torch.save({"netG": unlike.state_dict(), "netD": judge.state_dict()}, "unlike.pth")
