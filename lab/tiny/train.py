"""Training of one stage, resumable after any kill.

State in the work folder: `<stage>.pt` (weights, auxiliary heads, optimisers, step), replaced atomically every few steps,
and `<stage>.log`, one JSON line a report. Batches depend on the step alone, so a resumed run takes the same steps.

Several processes (`ranks`) may share a stage: each draws its own batches, gradients are averaged, rank 0 saves. On few busy
cores one thread a process is faster than many threads in one, which wait for each other at every operation.
"""

import json
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

from . import config, lessons, model as models, optimiser, text

REPORT_EVERY = 10


def join(rank: int, ranks: int, file: Path):
    """Joins the group of processes of one stage; `file` is a fresh path that all of them name."""
    if ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=ranks)


def rate_at(stage: config.Stage, step: int) -> float:
    """Warm-up over 40 steps (or a tenth), constant, then linear decay to `floor`."""
    warm = min(40, max(1, stage.steps // 10))
    left = (stage.steps - step) / max(1, stage.decay * stage.steps)
    return min(1.0, (step + 1) / warm) * max(stage.floor, min(1.0, left))


class Trainer:
    def __init__(self, plan: config.Plan, stage: config.Stage, folder: Path):
        self.plan, self.stage, self.folder = plan, stage, Path(folder)
        self.codec = text.Codec(text.load(self.folder))
        self.model = models.build(plan.shape, self.codec.ids, text.VOCABULARY, plan.seed)
        self.heads = models.Heads(plan.shape)
        self.forward = models.Forward(self.model)
        self.rank, self.ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.lessons = lessons.Lessons(plan, stage, self.codec, self.rank)
        self.step, self.seconds = 0, 0.0
        self.optimisers = optimiser.make(self.model, self.heads, stage.rate, stage.vision_rate)
        if not self._resume():
            self._start()

    @property
    def file(self) -> Path:
        return self.folder / f"{self.stage.name}.pt"

    def _resume(self) -> bool:
        if not self.file.exists():
            return False
        state = torch.load(self.file, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        for o, s in zip(self.optimisers, state["optimisers"]):
            o.load_state_dict(s)
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def _start(self):
        """Begins with the vision tower of a `read` stage and the rest of a `recall` stage."""
        for name in self.stage.start:
            state = torch.load(self.folder / f"{name}.pt", weights_only=True)
            task = self.plan.stage(name).task
            wanted = {"read": lambda k: ".visual." in k, "recall": lambda k: ".visual." not in k}.get(task, lambda k: True)
            self.model.load_state_dict({k: v for k, v in state["model"].items() if wanted(k)}, strict=False)
            if task != "recall":
                self.heads.load_state_dict(state["heads"], strict=False)

    def _average(self, parameters):
        """Mean of the gradients over all ranks; a missing gradient counts as zero."""
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        dist.all_reduce(flat)
        for p, g in zip(parameters, (flat / self.ranks).split([p.numel() for p in parameters])):
            p.grad = g.view_as(p)

    def save(self):
        state = dict(model=self.model.state_dict(), heads=self.heads.state_dict(), step=self.step, seconds=self.seconds,
                     optimisers=[o.state_dict() for o in self.optimisers])
        part = self.file.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.file)

    def part_loss(self, part: dict, report: dict) -> torch.Tensor:
        """Loss of one part of a step; figures go into `report`."""
        loss, merged, deep, visual = 0.0, None, (), None
        if "patches" in part:
            last, merged, deep = self.forward.see(part["patches"], *part["grid"])
            crop = "ids" not in part and self.stage.task == "joint"
            tied = self.model.model.language_model.embed_tokens.weight if self.stage.task == "joint" and not crop else None
            losses, right = self.heads.losses(last, merged, part["heads"], tied)
            loss = loss + self.stage.auxiliary * sum(self.stage.weights.get(k, 1.0) * v for k, v in losses.items())
            for k, v in {**{"loss " + k: v.detach() for k, v in losses.items()}, **right}.items():
                report.setdefault(k, []).append(float(v))
            visual = part.get("visual")
        if "ids" in part:
            hidden = self.forward.read(part["ids"], part["positions"], part["mask"], visual if merged is not None else None, merged, deep)
            targets = part["targets"].flatten()
            known = targets >= 0
            logits = F.linear(hidden.flatten(0, 1)[known], self.model.lm_head.weight)
            answer = F.cross_entropy(logits, targets[known])
            name = "answer" if merged is not None else "text"
            report.setdefault("loss " + name, []).append(float(answer.detach()))
            report.setdefault(name, []).append(float((logits.argmax(-1) == targets[known]).float().mean()))
            # Text-only sequences are few and short: they count for their share.
            loss = loss + answer * (2.0 if merged is not None or self.stage.task == "recall" else 0.5)
        return loss

    def take_step(self) -> dict:
        """One optimiser step; returns its figures."""
        began, report = time.time(), {}
        factor = rate_at(self.stage, self.step)
        parameters = [*self.model.parameters(), *self.heads.parameters()]
        for p in parameters:
            p.grad = None
        total = 0.0
        for part in self.lessons.batches(self.step):
            loss = self.part_loss(part, report)
            loss.backward()
            total += float(loss.detach())
        if self.ranks > 1:
            self._average(parameters)
        torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 1.0)
        for o in self.optimisers:
            for group in o.param_groups:
                group["lr"] = group["base"] * factor
            o.step()
        self.step += 1
        self.seconds += time.time() - began
        return {"loss": total, **{k: sum(v) / len(v) for k, v in report.items()}}

    def run(self, until: int | None = None):
        """Trains to the end of the stage (or to step `until`), saving on the way."""
        mean, last, began = {}, self.step, time.time()
        end = min(self.stage.steps, until or self.stage.steps)
        while self.step < end:
            for k, v in self.take_step().items():
                mean[k] = mean[k] * 0.95 + v * 0.05 if k in mean else v
            if self.rank == 0 and (self.step % REPORT_EVERY == 0 or self.step == end):
                line = dict(step=self.step, minutes=round(self.seconds / 60, 1), step_seconds=round((time.time() - began) / (self.step - last), 2))
                line.update({k: round(v, 3) for k, v in mean.items()})
                print(self.stage.name, json.dumps(line), flush=True)
                with open(self.folder / f"{self.stage.name}.log", "a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                last, began = self.step, time.time()
            if self.rank == 0 and (self.step % self.plan.save_every == 0 or self.step == end):
                self.save()
        if self.ranks > 1:
            dist.barrier()  # the next stage reads what rank 0 just saved
