"""Muon for the matrices of the blocks, AdamW for everything else.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): momentum, then the update is replaced by the nearest
orthogonal matrix with five Newton-Schulz steps. Computed in f32, matrices of one shape together. Update size as in
"Muon is scalable" (Liu et al. 2025): 0.2 * sqrt(max(rows, columns)), which matches AdamW's.
"""

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(x: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearly orthogonal matrices for x [count, rows, columns]."""
    a, b, c = COEFFICIENTS
    turned = x.shape[1] > x.shape[2]
    if turned:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if turned else x


class Muon(torch.optim.Optimizer):
    def __init__(self, groups, lr, momentum=0.95, weight_decay=0.02):
        super().__init__(groups, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(tuple(p.shape), []).append(p)
            for shape, params in by_shape.items():
                updates = []
                for p in params:
                    state = self.state[p]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(state["momentum"], group["momentum"]))
                size = 0.2 * max(shape) ** 0.5 * group["lr"]
                for p, u in zip(params, orthogonal(torch.stack(updates))):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-size)


def make(model, heads, rate: float, vision_rate: float):
    """[Muon, AdamW] over all parameters; each with two groups, vision first, whose `base` is the full rate."""
    vision = {id(p) for p in model.model.visual.parameters()} | {id(p) for p in heads.parameters()}
    matrices, rest = [], []
    for name, p in [*model.named_parameters(), *heads.named_parameters()]:
        (matrices if p.dim() == 2 and (".blocks." in name or ".layers." in name) else rest).append(p)

    def groups(params, lr):
        return [dict(params=[p for p in params if (id(p) in vision) == seen], lr=lr * factor, base=lr * factor)
                for seen, factor in ((True, vision_rate), (False, 1.0))]

    return [Muon(groups(matrices, rate), rate),
            torch.optim.AdamW(groups(rest, rate * 0.7), lr=rate * 0.7, betas=(0.9, 0.98), weight_decay=0.01)]
