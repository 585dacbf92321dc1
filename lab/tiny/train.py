"""Training of a plan, resumable after any kill, by one or more processes.

State in the work folder: `state.pt` (weights, auxiliary heads, moments, step), replaced atomically every few steps, and
`log.jsonl`, one line a report. Batches depend on the step alone, so a resumed run takes the same steps.

Processes share weights, moments and one row of gradients each, in memory of the operating system. In a step they pull
micro-batches from one counter until none is left, so a process whose core is used by others does fewer of them and nobody
waits for longer than one micro-batch; then each updates its share of the parameters. Every process has one thread.
"""

import json
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F

from . import config, coordinates, evaluate, guides, heads, lessons, model as models, optimiser, text

REPORT_EVERY = 10
PATIENCE = 1800       # seconds a process waits for the others before it takes them for dead
CLIP = 1.0


def adopt(plan: config.Plan, folder: Path, source: Path, step: int) -> None:
    """Makes a new work folder's state from an exported checkpoint folder: its weights and tokenizer, fresh moments and heads."""
    if (Path(folder) / "state.pt").exists():
        raise FileExistsError(f"{folder} holds a run already")
    shutil.copyfile(Path(source) / "tokenizer.json", Path(folder) / "tokenizer.json")
    trainer = Trainer(plan, folder)
    stored = safetensors.torch.load_file(Path(source) / "model.safetensors")
    for slot in trainer.slots:
        if slot.name in stored:
            slot.of(trainer.shared.weights[0]).copy_(stored[slot.name].float())
        elif not slot.name.startswith("heads."):
            raise KeyError(f"{source} has no {slot.name}")
    trainer.step = step
    trainer.save()


class Shared:
    """Buffers and signals of the processes of a run; with one process plain memory and no signals."""

    def __init__(self, size: int, ranks: int):
        rows = {"weights": 1, "first": 1, "second": 1, "gradients": ranks}
        for name, count in rows.items():
            buffer = torch.zeros(count, size)
            setattr(self, name, buffer.share_memory_() if ranks > 1 else buffer)
        self.norms = torch.zeros(ranks)
        self.ranks = ranks
        if ranks > 1:
            self.norms.share_memory_()
            context = multiprocessing.get_context("fork")
            self.barrier, self.counter = context.Barrier(ranks), context.Value("i", 0)
        else:
            self.taken = 0

    def wait(self):
        if self.ranks > 1:
            self.barrier.wait(PATIENCE)

    def pull(self) -> int:
        """The next micro-batch's index."""
        if self.ranks == 1:
            self.taken += 1
            return self.taken - 1
        with self.counter.get_lock():
            self.counter.value += 1
            return self.counter.value - 1

    def rewind(self):
        if self.ranks == 1:
            self.taken = 0
        else:
            self.counter.value = 0


class Trainer:
    """branch: 0 for the run itself, else the length of a decay branch, whose state is `branch.pt`."""

    def __init__(self, plan: config.Plan, folder: Path, ranks: int = 1, branch: int = 0):
        self.plan, self.folder, self.branch = plan, Path(folder), branch
        self.codec = text.Codec(text.load(self.folder))
        begun = self.file.exists() or (self.folder / "state.pt").exists()
        self.model = models.build(plan.shape, self.codec.ids, text.VOCABULARY, plan.seed, start=not begun)
        self.heads = heads.Heads(plan.shape)
        self.spaced = torch.tensor(self.codec.spaced())
        self.digits = torch.tensor([[self.codec.encode(str(i))[0] for i in range(10)]])
        self.forward, self.short = models.Forward(self.model), models.short_products()
        self.lessons = lessons.Lessons(plan, self.codec, self.folder)
        self.rank, self.ranks, self.step, self.seconds, self.ends = 0, ranks, 0, 0.0, None
        named = [*self.model.named_parameters(), *(("heads." + n, p) for n, p in self.heads.named_parameters())]
        self.slots = optimiser.layout(named)
        self.parameters = [p for _, p in named]
        self.shared = Shared(self.slots[-1].end, ranks)
        for slot, p in zip(self.slots, self.parameters):
            slot.of(self.shared.weights[0]).copy_(p.data)
            p.data = slot.of(self.shared.weights[0])
        self._resume()
        self._become(0)

    def _become(self, rank: int):
        """Takes the role of one process: its row of gradients, its share of the parameters."""
        self.rank = rank
        for slot, p in zip(self.slots, self.parameters):
            p.grad = slot.of(self.shared.gradients[rank])
        self.mine = optimiser.share_of(self.slots, rank, self.ranks)

    @property
    def file(self) -> Path:
        return self.folder / ("branch.pt" if self.branch else "state.pt")

    def _resume(self):
        source = self.file if self.file.exists() else self.folder / "state.pt"
        if source.exists():
            state = torch.load(source, weights_only=True)
            self.step, self.seconds, self.ends = state["step"], state["seconds"], state["ends"]
            for slot in self.slots:
                # A head whose classes have changed since begins anew.
                if slot.name in state["weights"] and tuple(state["weights"][slot.name].shape) == slot.shape:
                    for part in ("weights", "first", "second"):
                        slot.of(getattr(self.shared, part)[0]).copy_(state[part][slot.name])
                else:
                    print("begins anew:", slot.name, flush=True)
        if self.branch and self.ends is None:
            self.ends = self.step + self.branch

    def save(self):
        state = {part: {s.name: s.of(getattr(self.shared, part)[0]).clone() for s in self.slots} for part in ("weights", "first", "second")}
        state.update(step=self.step, seconds=self.seconds, ends=self.ends)
        part = self.file.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.file)

    def rate(self) -> float:
        """Factor on the phase's rate: warm-up once and at the beginning of phases that want it, then constant; in a branch, and in a
        plan that falls, linear down to the floor."""
        phase, at = self.plan.phase_at(self.step)
        if self.plan.falls:
            return max(self.plan.floor, min(1.0, (self.step + 1) / self.plan.warm) * (1 - self.step / self.plan.steps))
        factor = min(1.0, (self.step + 1) / self.plan.warm, 0.1 + 0.9 * at / phase.warm if phase.warm else 1.0)
        if self.branch:
            factor *= max(self.plan.floor, (self.ends - self.step) / self.branch)
        return factor

    def part_loss(self, phase: config.Phase, part: dict, report: dict) -> torch.Tensor:
        """Loss of one micro-batch; figures go into `report`."""
        loss, merged, deep, visual = 0.0, None, (), None
        if "patches" in part:
            with_text = "ids" in part
            with torch.set_grad_enabled(phase.vision_rate > 0):
                last, merged, deep = self.forward.see(part["patches"], *part["grid"], deep=with_text or phase.auxiliary > 0)
            tied = None if part["task"] == "crops" else self.model.model.language_model.embed_tokens.weight
            losses, right = self.heads.losses(last, merged, deep, part["heads"], tied) if "heads" in part and phase.auxiliary else ({}, {})
            loss = loss + phase.auxiliary * sum(phase.weights.get(k, 1.0) * v for k, v in losses.items())
            for k, v in {**{f"loss {k}": v.detach() for k, v in losses.items()}, **right}.items():
                report.setdefault(k if part["task"] != "crops" else "crops: " + k, []).append(float(v))
            visual = part.get("visual")
        if "ids" in part:
            seen = merged is not None
            resting = {}
            kind = "clip " if part["task"] == "clips" else "" if seen else "text "
            hidden = self.forward.read(part["ids"], part["positions"], part["mask"], visual if seen else None, merged, deep,
                                       part["guides"] if phase.guided else None, resting, 1.0 if seen else phase.longer)
            if "cells" in resting and "heads" in part and phase.auxiliary:
                carried, errors = self.heads.carried(resting, part["guides"], visual, part["heads"], part["ids"].shape[1],
                                                     self.model.model.language_model.embed_tokens.weight)
                for name, value in carried.items():
                    loss = loss + phase.guided * phase.weights.get(name, 1.0) * value
                for name, value in errors.items():
                    report.setdefault(name, []).append(float(value))
            for slot, states in (("copy", "copied"), ("quote", "quoted"), ("read", "reading")):
                if states in resting and phase.auxiliary:
                    lost, right = self.heads.copying(slot, resting[states], part["targets"].flatten()[part["guides"][slot][0]],
                                                     self.model.model.language_model.embed_tokens.weight, self.spaced)
                    loss = loss + phase.guided * sum(phase.weights.get(k, 1.0) * v for k, v in lost.items())
                    for name, value in right.items():
                        report.setdefault(kind + name, []).append(float(value))
            if "pointing" in resting and phase.auxiliary:
                lost, right = self.heads.pointing(resting["pointing"], part["guides"][guides.WHERE][1])
                loss = loss + phase.guided * lost
                report.setdefault("right where", []).append(float(right))
            if "counted" in resting and phase.auxiliary:
                lost, right = self.heads.counting(resting["counted"], part["guides"]["count"][0])
                loss = loss + phase.guided * lost
                report.setdefault("right count", []).append(float(right))
            for slot, logarithm in ((s, r) for s, r in resting.items() if s in guides.SLOTS or isinstance(s, tuple)):
                loss = loss - phase.guided * logarithm.mean()
                if isinstance(slot, str):
                    report.setdefault(f"{kind}look {slot}", []).append(float(logarithm.detach().exp().mean()))
            targets = part["targets"].flatten()
            known = targets >= 0
            logits = F.linear(hidden.flatten(0, 1)[known], self.model.lm_head.weight)
            each = F.cross_entropy(logits, targets[known], reduction="none")
            if phase.blur and len(part["soft"]):
                each = self._soften(each, logits, known, part["soft"], phase.blur)
            answer = each.mean()
            self._mark(part, logits.argmax(-1), known, "" if seen else "text ", report)
            report.setdefault(f"loss {kind}answer" if seen else "loss text", []).append(float(answer.detach()))
            loss = loss + answer * (2.0 if seen else 1.0)
        return loss

    def _soften(self, each, logits, known, soft, blur):
        """`each` loss with those of coordinates' digits replaced by the divergence from their soft targets (see coordinates.py);
        soft [n, 4]: place in the targets, number, digits before it, id of the token that ends the number."""
        row = (known.cumsum(0) - 1)[soft[:, 0]]
        shares = torch.from_numpy(coordinates.table(blur))[soft[:, 1], soft[:, 2]]
        ids = torch.cat((self.digits.expand(len(soft), -1), soft[:, 3:]), 1)
        chosen = logits[row].float().log_softmax(-1).gather(1, ids)
        return each.index_copy(0, row, (shares * (shares.clamp(min=1e-9).log() - chosen)).sum(1).to(each.dtype))

    def _mark(self, part, chosen, known, prefix, report):
        """Whole answers right (greedy and teacher-forced agree on that; after reasoning: given the true one), whole reasonings right,
        and located boxes on the right element."""
        guessed = torch.full(known.shape, -1)
        guessed[known] = chosen
        targets = part["targets"].flatten()
        for start, end, _ in part["thoughts"]:
            report.setdefault(f"{prefix}thought", []).append(float((guessed[start:end] == targets[start:end]).all()))
        for start, end, question in part["answers"]:
            right = bool((guessed[start:end] == targets[start:end]).all())
            report.setdefault(f"{prefix}{question.kind}", []).append(float(right))
            if question.kind == "locate":
                found = evaluate.parsed_boxes(self.codec.decode([i for i in guessed[start:end].tolist() if i >= 0]).split("<|im_end|>")[0])
                box, true = found[0][0] if found else [0] * 4, question.box
                report.setdefault(f"{prefix}right element", []).append(float(evaluate.centre_inside(box, true)))

    def take_step(self) -> dict:
        """One optimiser step; returns the figures of this process's micro-batches."""
        began, report, total = time.time(), {}, 0.0
        phase, at = self.plan.phase_at(self.step)
        tasks = self.lessons.tasks(phase, at)
        while (index := self.shared.pull()) < len(tasks):
            part = self.lessons.make(phase, at, index)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.short):
                loss = self.part_loss(phase, part, report) / len(tasks)
            loss.backward()
            total += float(loss.detach())
        self.shared.wait()
        self._update(phase)
        self.step += 1
        self.seconds += time.time() - began
        return {"loss": total, **{k: sum(v) / len(v) for k, v in report.items()}}

    def _update(self, phase):
        gradients = self.shared.gradients
        square = 0.0
        for s in self.mine:
            for row in range(1, self.ranks):
                s.of(gradients[0]).add_(s.of(gradients[row]))
                s.of(gradients[row]).zero_()
            square += float(s.of(gradients[0]).square().sum())
        self.shared.norms[self.rank] = square
        if self.rank == 0:
            self.shared.rewind()
        self.shared.wait()
        norm = float(self.shared.norms.sum()) ** 0.5
        if norm != norm or norm == float("inf"):
            raise RuntimeError(f"the gradient of step {self.step} is not finite")
        for s in self.mine:
            s.of(gradients[0]).mul_(min(1.0, CLIP / (norm + 1e-6)))
        optimiser.step(self.mine, self.shared.weights[0], gradients[0], self.shared.first[0], self.shared.second[0],
                       self.step + 1, phase.rate * self.rate(), phase.vision_rate, self.short, phase.joint_rate)
        for s in self.mine:
            s.of(gradients[0]).zero_()
        self.shared.wait()

    def end(self) -> int:
        return self.ends if self.branch else self.plan.steps

    def run(self, until: int | None = None):
        """Trains to the end of the plan or branch (or to step `until`), saving on the way; with `ranks` processes."""
        children = []
        for rank in range(1, self.ranks):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    self._become(rank)
                    self._loop(until)
                    code = 0
                except BaseException as error:  # noqa: BLE001 - a forked process must end here whatever happens
                    print(f"process {rank}: {error!r}", file=sys.stderr, flush=True)
                    self.shared.barrier.abort()
                finally:
                    os._exit(code)
            children.append(child)
        try:
            self._loop(until)
        except BaseException:
            if self.ranks > 1:
                self.shared.barrier.abort()
            raise
        for child in children:
            os.waitpid(child, 0)

    def _loop(self, until):
        mean, last, began = {}, self.step, time.time()
        end = min(self.end(), until or self.end())
        while self.step < end:
            for k, v in self.take_step().items():
                mean[k] = mean[k] * 0.95 + v * 0.05 if k in mean else v
            if self.rank:
                continue
            if self.step % REPORT_EVERY == 0 or self.step == end:
                line = dict(phase=self.plan.phase_at(self.step)[0].name, step=self.step, minutes=round(self.seconds / 60, 1),
                            step_seconds=round((time.time() - began) / (self.step - last), 2))
                line.update({k: round(v, 3) for k, v in sorted(mean.items())})
                print(json.dumps(line), flush=True)
                with open(self.folder / "log.jsonl", "a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
                last, began = self.step, time.time()
            if self.step % self.plan.save_every == 0 or self.step == end:
                self.save()
