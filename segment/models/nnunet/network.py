"""The two U-Nets of nnU-Net v2, built from plans. Knows nothing of plans files or of scans.

Parts are named as in the checkpoints (``encoder.stages.0.0.convs.1.norm``), so that weights fit
by name. Sources: Isensee et al. 2021 (nnU-Net), and for the residual encoder He et al. 2019
(ResNet-D): the shortcut is averaged and projected.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from segment.models.nnunet.plans import Architecture, Triple

SLOPE, EPSILON = 0.01, 1e-5


class _Conv(nn.Module):
    """Convolution, instance normalisation and, but before a sum, a leaky rectifier."""

    def __init__(
        self,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple,
        *,
        has_bias: bool,
        is_rectified: bool = True,
    ) -> None:
        super().__init__()
        z, y, x = ((n - 1) // 2 for n in kernel)
        self.conv = nn.Conv3d(*channels, kernel, stride, (z, y, x), bias=has_bias)
        self.norm = nn.InstanceNorm3d(channels[1], eps=EPSILON, affine=True)
        self.is_rectified = is_rectified

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.leaky_relu(x, SLOPE) if self.is_rectified else x


class _Stack(nn.Module):
    """Convolutions one after the other, of which the first may stride."""

    def __init__(
        self,
        count: int,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple,
        *,
        has_bias: bool,
    ) -> None:
        super().__init__()
        self.convs = _chained(_Conv, count, channels, kernel, stride, has_bias=has_bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.convs(x)
        return found


class _Block(nn.Module):
    """Two convolutions and a shortcut, averaged where the block strides."""

    def __init__(
        self, channels: tuple[int, int], kernel: Triple, stride: Triple, *, has_bias: bool
    ) -> None:
        super().__init__()
        last = channels[1]
        self.conv1 = _Conv(channels, kernel, stride, has_bias=has_bias)
        self.conv2 = _Conv((last, last), kernel, (1, 1, 1), has_bias=has_bias, is_rectified=False)
        parts: list[nn.Module] = []
        if max(stride) > 1:
            parts.append(nn.AvgPool3d(stride, stride))
        if channels[0] != last:
            ones = (1, 1, 1)
            parts.append(_Conv(channels, ones, ones, has_bias=False, is_rectified=False))
        self.skip = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x), SLOPE)


class _Blocks(nn.Module):
    """Residual blocks one after the other, of which the first may stride."""

    def __init__(
        self,
        count: int,
        channels: tuple[int, int],
        kernel: Triple,
        stride: Triple,
        *,
        has_bias: bool,
    ) -> None:
        super().__init__()
        self.blocks = _chained(_Block, count, channels, kernel, stride, has_bias=has_bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(x)
        return found


def _chained(
    part: Callable[..., nn.Module],
    count: int,
    channels: tuple[int, int],
    kernel: Triple,
    stride: Triple,
    *,
    has_bias: bool,
) -> nn.Sequential:
    """Put parts one after the other, of which the first may stride and change the channels."""
    last = (channels[1], channels[1])
    rest = [part(last, kernel, (1, 1, 1), has_bias=has_bias) for _ in range(count - 1)]
    return nn.Sequential(part(channels, kernel, stride, has_bias=has_bias), *rest)


class _Encoder(nn.Module):
    """Ever coarser features; the plain one has no stem."""

    def __init__(self, plan: Architecture) -> None:
        super().__init__()
        self.stem = None
        before, bias = 1, plan.has_bias
        if plan.is_residual:
            first = plan.features[0]
            self.stem = _Stack(1, (1, first), plan.kernels[0], (1, 1, 1), has_bias=bias)
            before = first
        stages: list[nn.Module] = []
        for count, after, kernel, stride in zip(
            plan.encoder, plan.features, plan.kernels, plan.strides, strict=True
        ):
            if plan.is_residual:
                stages.append(_Blocks(count, (before, after), kernel, stride, has_bias=bias))
            else:
                stack = _Stack(count, (before, after), kernel, stride, has_bias=bias)
                stages.append(nn.Sequential(stack))
            before = after
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = x if self.stem is None else self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    """Back to the finest features; the layers of deep supervision are there to hold weights."""

    def __init__(self, plan: Architecture, classes: int) -> None:
        super().__init__()
        ups: list[nn.Module] = []
        stages: list[nn.Module] = []
        outs: list[nn.Module] = []
        coarse = reversed(range(1, len(plan.features)))
        for level, count in zip(coarse, plan.decoder, strict=True):
            below, here, stride = (
                plan.features[level],
                plan.features[level - 1],
                plan.strides[level],
            )
            ups.append(nn.ConvTranspose3d(below, here, stride, stride, bias=plan.has_bias))
            kernel, one = plan.kernels[level - 1], (1, 1, 1)
            stages.append(_Stack(count, (2 * here, here), kernel, one, has_bias=plan.has_bias))
            outs.append(nn.Conv3d(here, classes, 1))
        self.transpconvs, self.stages = nn.ModuleList(ups), nn.ModuleList(stages)
        self.seg_layers = nn.ModuleList(outs)

    def forward(self, skips: Sequence[Tensor]) -> Tensor:
        x = skips[-1]
        for up, stage, skip in zip(self.transpconvs, self.stages, skips[-2::-1], strict=True):
            x = stage(torch.cat((up(x), skip), 1))
        found: Tensor = self.seg_layers[-1](x)
        return found


class UNet(nn.Module):
    """Logits ``1 class z y x`` of one patch ``1 1 z y x``."""

    def __init__(self, plan: Architecture, classes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(plan), _Decoder(plan, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a patch."""
        found: Tensor = self.decoder(self.encoder(x))
        return found


def build(plan: Architecture, classes: int, weights: Mapping[str, Tensor]) -> UNet:
    """Build a network and fill it; raises RuntimeError where the weights are of another one.

    Checkpoints hold some weights several times over: the encoder again inside the decoder, and
    each layer again inside ``all_modules``.
    """
    network = UNet(plan, classes)
    kept = {
        key.removeprefix("_orig_mod."): value
        for key, value in weights.items()
        if "all_modules." not in key and "decoder.encoder." not in key
    }
    network.load_state_dict(kept)
    return network.eval()
