"""Muon for the matrices of the blocks, AdamW for everything else, over flat buffers that processes may share.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): momentum, then the update is replaced by the nearest
orthogonal matrix with five Newton-Schulz steps, in bf16 where that is faster (the steps bear it), matrices of one shape together. Update size as in
"Muon is scalable" (Liu et al. 2025): 0.2 * sqrt(max(rows, columns)), which matches AdamW's.

Owns nothing: weights, gradients and both moments are rows of buffers that the trainer holds; every process updates its own
share of the parameters. A parameter without gradient in a step stays as it is.
"""

from dataclasses import dataclass

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
MOMENTUM, MUON_DECAY = 0.95, 0.02
BETAS, ADAM_DECAY, ADAM_SHARE, EPSILON = (0.9, 0.98), 0.01, 0.5, 1e-8


def orthogonal(x: torch.Tensor, steps: int = 5, short: bool = False) -> torch.Tensor:
    """Nearly orthogonal matrices for x [count, rows, columns]; short: products in bf16."""
    a, b, c = COEFFICIENTS
    turned = x.shape[1] > x.shape[2]
    if turned:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = x.bfloat16() if short else x
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if turned else x).float()


@dataclass
class Slot:
    """One parameter's place in the flat buffers."""
    name: str
    shape: tuple
    start: int
    end: int
    matrix: bool         # updated by Muon
    seeing: bool         # part of the vision tower or its heads
    joint: bool          # of a merger, which makes a cell's row from its patches, or of a head

    def of(self, buffer: torch.Tensor) -> torch.Tensor:
        return buffer[self.start:self.end].view(self.shape)


def layout(named) -> list[Slot]:
    """Slots of (name, parameter) pairs in their order."""
    slots, at = [], 0
    for name, p in named:
        matrix = p.dim() == 2 and (".blocks." in name or ".layers." in name)
        slots.append(Slot(name, tuple(p.shape), at, at + p.numel(), matrix, ".visual." in name or name.startswith("heads."), "merger" in name or name.startswith("heads.")))
        at += p.numel()
    return slots


def share_of(slots: list[Slot], rank: int, ranks: int) -> list[Slot]:
    """The slots that one of `ranks` processes updates: even in the work of Muon and in the size of the rest."""
    def work(s):
        return 30 * min(s.shape) * (s.end - s.start) if s.matrix else 40 * (s.end - s.start)
    loads, mine = [0] * ranks, []
    for s in sorted(slots, key=lambda s: (-work(s), s.start)):
        least = loads.index(min(loads))
        loads[least] += work(s)
        if least == rank:
            mine.append(s)
    return sorted(mine, key=lambda s: s.start)


@torch.no_grad()
def step(slots, weights, gradients, first, second, count: int, rate: float, vision_rate: float, short: bool = False, joint_rate: float = 1.0):
    """Updates `slots` in place. count: steps taken including this one; vision_rate, joint_rate: factors on the rates of the vision tower and of its joints; gradients are already averaged and clipped; short: as in `orthogonal`."""
    by_shape = {}
    for s in slots:
        g, w = s.of(gradients), s.of(weights)
        if not g.any():
            continue
        lr = rate * (vision_rate if s.seeing else 1.0) * (joint_rate if s.joint else 1.0)
        if s.matrix:
            momentum = s.of(first)
            momentum.lerp_(g, 1 - MOMENTUM)
            by_shape.setdefault((s.shape, lr), []).append((w, g.lerp(momentum, MOMENTUM)))
            continue
        lr *= ADAM_SHARE
        m, v = s.of(first), s.of(second)
        m.lerp_(g, 1 - BETAS[0])
        v.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        scale = (v / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
        w.mul_(1 - lr * ADAM_DECAY).addcdiv_(m, scale, value=-lr / (1 - BETAS[0] ** count))
    for (shape, lr), pairs in by_shape.items():
        for (w, _), update in zip(pairs, orthogonal(torch.stack([u for _, u in pairs]), short=short)):
            w.mul_(1 - lr * MUON_DECAY).add_(update, alpha=-0.2 * max(shape) ** 0.5 * lr)
