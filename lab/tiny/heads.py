"""Auxiliary readings of the model's states, used in training only and never shipped: what a patch, a cell's row, a cell deep in the
decoder and a token that looks must know. Each asks for one link of the way from pixels to an answer (docs/tiny-model.md)."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from . import words
from .config import Shape
from .model import EPSILON

MOST = 12       # things that a reading of counts tells apart


class Heads(nn.Module):
    """Auxiliary classifiers: characters of each patch; kind, label, colour and box digits of each merged cell; and the
    pieces of the element's name through the decoder's own embedding matrix, which brings both into one space."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.kind = nn.Linear(shape.hidden, len(words.KINDS))
        self.label = nn.Linear(shape.hidden, len(words.LABELS))
        self.colour = nn.Linear(shape.hidden, len(words.COLOUR_NAMES))
        self.box = nn.Linear(shape.hidden, 4 * 31)    # per side: hundreds 0..10, tens, units
        self.place = nn.Linear(shape.hidden, 4)       # the same box as four fractions: learned long before the digits
        self.kept = nn.Linear(shape.hidden, 4)        # the same from a cell's state deep in the decoder
        self.named = nn.Linear(shape.hidden, 4)       # the same from the state of a name that has just found its cell
        self.told = nn.Linear(shape.hidden, 4)        # the same from the state of a token that has just aimed at the cell
        # What a cell shows (a switch that is on, a star) and the pieces of its name, by the decoder's own embeddings, at both of these states.
        self.kept_kind, self.told_kind = nn.Linear(shape.hidden, len(words.KINDS)), nn.Linear(shape.hidden, len(words.KINDS))
        self.kept_name, self.told_name = nn.Parameter(torch.full((shape.hidden,), 3.0)), nn.Parameter(torch.full((shape.hidden,), 3.0))
        self.compared = nn.Linear(shape.hidden, 8)    # boxes of both things from the state of a token that compares them
        self.copy = nn.Parameter(torch.full((shape.hidden,), 3.0))         # the next piece from the state of a token that copies it
        self.quote = nn.Parameter(torch.full((shape.hidden,), 3.0))        # the same where it comes from a text before the question
        self.read = nn.Parameter(torch.full((shape.hidden,), 3.0))         # the same where it is written in the picture
        self.middle = nn.Linear(shape.hidden, 2)      # whether the middle of a thing lies in the cell
        self.counted = nn.Linear(shape.hidden, MOST + 1)    # how many things a token has just looked at
        self.where = nn.Linear(shape.hidden, 16)      # in which part of the cell the letter stands that is read next
        self.space = nn.Parameter(torch.zeros(shape.hidden))               # what a space before a piece adds to its embedding
        self.characters = nn.Linear(shape.vision_hidden, 4 * len(words.CHARACTERS))
        # The same of a cell's four patches: from its row, from that of the last DeepStack tap, from its state deep in the decoder. Left
        # alone the mergers drop it: of what patches knew for sure (.8), nothing was to be found behind them.
        self.merged_characters, self.tapped_characters, self.written = (nn.Linear(shape.hidden, 16 * len(words.CHARACTERS)) for _ in range(3))
        self.name = nn.Parameter(torch.full((shape.hidden,), 3.0))

    def carried(self, resting, guides, visual, target, length, embedding) -> tuple[dict, dict]:
        """(losses, mean errors and shares): do a cell's place, kind and name reach the decoder's upper layers, and the tokens that look at the cell?

        resting: as `read` leaves it; guides: by slot; visual [cells]: flat indices; target: of the heads, box [.., cells, 4] with -1: none;
        length: of a sequence. All are needed: attention may rest on the right cell for hundreds of steps before anything of it comes over.
        """
        box, kind = target["box"].flatten(0, 1), target["kind"].flatten()
        cell = torch.full((int(visual.max()) + length + 1,), -1)
        cell[visual] = torch.arange(len(visual))
        loss, error = {}, {}
        if "cells" in resting and "characters" in target:
            loss["written"], error["written"] = self._written(self.written, resting["cells"], target["characters"].reshape(-1, 16))
        for name, head, states, slot in (("kept", self.kept, "cells", ""), ("told", self.told, "aimed", "aim"), ("named", self.named, "found", "find")):
            if states not in resting:
                continue
            rows = torch.arange(len(visual))
            if slot:
                tokens, rest = guides[slot]
                rows = cell[tokens // length * length + rest.int().argmax(1)]
            known = (rows >= 0) & (box[rows, 0] >= 0)
            if slot == "find":
                box_of = torch.full((len(guides["find"][1][0]) * (int(tokens.max()) // length + 1), 4), -1.0)
                box_of[tokens[known]] = box[rows[known]] / 1000
                loss |= self._compared(resting, guides, box_of, length)
            if not known.any():
                continue
            state = F.rms_norm(resting[states][known], resting[states].shape[-1:], eps=EPSILON)
            wanted = box[rows[known]] / 1000
            guess = head(state)
            loss[name] = 8 * F.smooth_l1_loss(guess, wanted, beta=0.03)
            error[f"error {name}"] = (guess - wanted).abs().mean().detach()
            if name in ("kept", "told"):
                self._shown(name, state, kind[rows[known]], target["pieces"].flatten(0, 1)[rows[known]], embedding, loss, error)
        return loss, error

    def _written(self, head, state, wanted):
        """(loss, share right): what is written in a cell, character by character, in its state [cells, hidden]; wanted [cells, 16]."""
        rows = (wanted > 0).any(1)
        if not rows.any():
            return head.weight.sum() * 0, torch.tensor(0.0)
        state, wanted = F.rms_norm(state[rows], state.shape[-1:], eps=EPSILON), wanted[rows].flatten()
        logits = head(state).view(-1, len(words.CHARACTERS))
        each = F.cross_entropy(logits, wanted, reduction="none")
        return each[wanted > 0].mean() + 0.5 * each[wanted == 0].mean(), (logits.argmax(-1) == wanted)[wanted > 0].float().mean().detach()

    def _shown(self, name, state, kind, pieces, embedding, loss, error):
        """Adds the losses of what a cell shows, of its switch's state apart (most things are no switches), and of its name's pieces."""
        logits = getattr(self, f"{name}_kind")(state)
        loss[f"{name} kind"] = 0.4 * F.cross_entropy(logits, kind)
        error[f"{name} kind"] = (logits.argmax(-1) == kind).float().mean().detach()
        switches = (kind == words.KINDS.index("on")) | (kind == words.KINDS.index("off"))
        if switches.any():
            loss[f"{name} switch"] = 1.5 * F.cross_entropy(logits[switches], kind[switches])
            error[f"{name} switch"] = (logits.argmax(-1) == kind)[switches].float().mean().detach()
        has = pieces[:, 0] >= 0
        if has.any():
            logits = F.linear(state[has] * getattr(self, f"{name}_name"), embedding)
            chosen = logits.log_softmax(-1).gather(1, pieces[has].clamp(min=0))
            loss[f"{name} name"] = -0.2 * (chosen * (pieces[has] >= 0)).sum() / (pieces[has] >= 0).sum()
            error[f"{name} name"] = (logits.argmax(-1, keepdim=True) == pieces[has]).any(1).float().mean().detach()

    def _compared(self, resting, guides, box_of, length) -> dict:
        """The loss of both boxes at a token that compares two names; box_of [tokens, 4]: of each name's last token, -1: none."""
        if "compared" not in resting or "recall" not in guides:
            return {}
        (tokens, rest), (recalling, recalled) = guides["other"], guides["recall"]
        first = torch.full((len(box_of),), -1)
        recalling, recalled = recalling[recalling < len(first)], recalled[recalling < len(first)]
        first[recalling] = recalling // length * length + recalled.int().argmax(1)
        inside = tokens < len(first)
        tokens, rest = tokens[inside], rest[inside]
        wanted = torch.cat((box_of[first[tokens]], box_of[tokens // length * length + rest.int().argmax(1)]), 1)
        known = (first[tokens] >= 0) & (wanted >= 0).all(1)
        if not known.any():
            return {}
        state = resting["compared"][inside][known]
        return {"compared": 8 * F.smooth_l1_loss(self.compared(F.rms_norm(state, state.shape[-1:], eps=EPSILON)), wanted[known], beta=0.03)}

    def pointing(self, state, rest) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, share right): does a token know where in its cell the next letter stands? state [n, hidden], rest [n, ..]: as of WHERE."""
        logits, wanted = self.where(F.rms_norm(state, state.shape[-1:], eps=EPSILON)), rest.int().argmax(1)
        return F.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).float().mean().detach()

    def counting(self, state, tokens) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, share right): does a token know how many things it counts? state [n, hidden], tokens [n]: as of slot `count`, each as often
        as there are things, and once more."""
        _, inverse, often = tokens.unique(return_inverse=True, return_counts=True)
        first = torch.zeros(len(often), dtype=torch.long).scatter_(0, inverse, torch.arange(len(tokens)))
        logits, wanted = self.counted(F.rms_norm(state[first], state.shape[-1:], eps=EPSILON)), (often - 1).clamp(max=MOST)
        return F.cross_entropy(logits, wanted), (logits.argmax(-1) == wanted).float().mean().detach()

    def copying(self, slot, state, wanted, embedding, spaced) -> tuple[dict, dict]:
        """(losses, shares right): does the piece to copy arrive, in the embeddings' own terms? state [n, hidden], wanted: ids [n].

        spaced: ids [2, pairs] of pieces with a space before them and without. They get the same distance all, so that a word copied
        from after a space to after a quotation mark is one shift and not a table of the vocabulary.
        """
        logits = F.linear(F.rms_norm(state, state.shape[-1:], getattr(self, slot), EPSILON), embedding)
        apart = (embedding[spaced[0]] - embedding[spaced[1]] - self.space).square().mean() / embedding.detach().square().mean()
        right = (logits.argmax(-1) == wanted).float().mean().detach()
        return {slot: F.cross_entropy(logits, wanted), "space": 0.3 * apart}, {f"right {slot}": right, "space": apart.detach()}

    def losses(self, last, merged, deep, target, embedding=None) -> tuple[dict, dict]:
        """(losses, accuracies) by head for one batch of equal pictures; last, merged, deep: as `see` returns them."""
        loss, right = {}, {}
        for name, head, state in (("merged", self.merged_characters, merged), *((("tapped", self.tapped_characters, deep[-1]),) if deep else ())):
            loss[f"{name} characters"], right[f"{name} characters"] = self._written(head, state, target["characters"].reshape(-1, 16))

        def classify(name, logits, wanted):
            loss[name] = F.cross_entropy(logits, wanted)
            right[name] = (logits.argmax(-1) == wanted).float().mean().detach()

        kind = target["kind"].flatten()
        logits = self.kind(merged)
        # Nearly all cells are background: each side gets its own mean, or "background" is the whole answer for long.
        each = F.cross_entropy(logits, kind, reduction="none")
        loss["kind"] = 0.5 * each[kind == 0].mean() if (kind == 0).any() else each.sum() * 0
        if (kind > 0).any():
            loss["kind"] = loss["kind"] + each[kind > 0].mean()
            right["kind"] = (logits.argmax(-1) == kind)[kind > 0].float().mean().detach()
        for name, head in (("label", self.label), ("colour", self.colour)):
            wanted = target[name].flatten()
            known = wanted > 0
            if known.any():
                classify(name, head(merged[known]), wanted[known])
        box = target["box"].flatten(0, 1)
        known = box[:, 0] >= 0
        if known.any():
            wanted, logits = box[known], self.box(merged[known]).view(-1, 4, 31)
            parts = ((logits[..., :11], wanted // 100, 1.0), (logits[..., 11:21], wanted // 10 % 10, 0.6), (logits[..., 21:], wanted % 10, 0.1))
            loss["box"] = sum(w * F.cross_entropy(l.flatten(0, 1), t.flatten()) for l, t, w in parts)
            loss["place"] = 8 * F.smooth_l1_loss(self.place(merged[known]), wanted / 1000, beta=0.03)
            guess = sum(l.argmax(-1) * m for (l, _, _), m in zip(parts, (100, 10, 1)))
            right["box within 20"] = ((guess - wanted).abs() <= 20).float().mean().detach()
        if embedding is not None:      # crops: most of their words are no elements
            wanted, logits = target["middle"].flatten(), self.middle(merged)
            each = F.cross_entropy(logits, wanted, reduction="none")
            some = wanted > 0
            loss["middle"] = 0.5 * each[~some].mean() + (0.5 * each[some].mean() if some.any() else 0)
            if some.any():
                right["middle"] = (logits.argmax(-1) == 1)[some].float().mean().detach() * (logits.argmax(-1) == 0)[~some].float().mean().detach()
        if embedding is not None and "pieces" in target:
            pieces = target["pieces"].flatten(0, 1)
            known = pieces[:, 0] >= 0
            if known.any():
                logits = F.linear(F.rms_norm(merged[known].float(), merged.shape[-1:], self.name, EPSILON), embedding)
                wanted = pieces[known]
                chosen = logits.log_softmax(-1).gather(1, wanted.clamp(min=0))
                loss["name"] = -(chosen * (wanted >= 0)).sum() / (wanted >= 0).sum()
        wanted = target["characters"].flatten(0, 1)
        written = (wanted > 0).any(1)
        if written.any():
            # Empty patches teach little: one in three as many as written ones is enough, taken evenly. Empty quarters of
            # written patches are many, so each side has its own mean.
            empty = (~written).nonzero()[:, 0]
            keep = max(8, int(written.sum()) // 3)
            empty = empty[::max(1, len(empty) // keep)]
            rows = torch.cat((written.nonzero()[:, 0], empty))
            logits = self.characters(last.flatten(0, 1)[rows]).view(-1, len(words.CHARACTERS))
            wanted = wanted[rows].flatten()
            each = F.cross_entropy(logits, wanted, reduction="none")
            loss["characters"] = each[wanted > 0].mean() + 0.5 * each[wanted == 0].mean()
            right["characters"] = (logits.argmax(-1) == wanted)[wanted > 0].float().mean().detach()
        return loss, right
