"""The model: transformers' Qwen3VLForConditionalGeneration, its start values, and a fast batched forward over its parameters.

`Forward` computes what the transformers classes compute for batches of equal pictures and packed questions; a test holds
the two together.
"""

import math
import random

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.vision_utils import get_vision_interpolation_indices_and_weights, get_vision_position_ids

from . import fonts, scenes
from .config import Shape
from .guides import ALSO, SLOTS, WHERE

EPSILON = 1e-6


def configuration(shape: Shape, ids: dict[str, int], vocabulary: int) -> Qwen3VLConfig:
    """The published configuration form for our sizes. ids: added token -> id."""
    return Qwen3VLConfig(
        vision_config=dict(depth=shape.vision_layers, hidden_size=shape.vision_hidden, intermediate_size=shape.vision_ffn,
                           num_heads=shape.vision_heads, out_hidden_size=shape.hidden, patch_size=16, spatial_merge_size=2,
                           temporal_patch_size=2, num_position_embeddings=shape.position_side ** 2,
                           deepstack_visual_indexes=list(shape.taps), hidden_act="gelu_pytorch_tanh", in_channels=3),
        text_config=dict(vocab_size=vocabulary, hidden_size=shape.hidden, intermediate_size=shape.ffn,
                         num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
                         head_dim=shape.head_dim, max_position_embeddings=shape.max_positions, rms_norm_eps=EPSILON,
                         tie_word_embeddings=True, bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|im_end|>"],
                         pad_token_id=ids["<|endoftext|>"],
                         rope_parameters=dict(rope_type="default", rope_theta=shape.rope_theta,
                                              mrope_section=list(shape.mrope_section), mrope_interleaved=True)),
        tie_word_embeddings=True, image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"])


def build(shape: Shape, ids: dict[str, int], vocabulary: int, seed: int, start: bool = True) -> Qwen3VLForConditionalGeneration:
    """A model with start values that learn fast at this size: fan-in scaled matrices, a smooth position table.
    start: False when the caller loads a saved state over them at once."""
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(configuration(shape, ids, vocabulary)).float()
    if not start:
        return model
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2 and "embed" not in name:
                shrink = 0.5 if "o_proj" in name or "down_proj" in name or name.endswith(("attn.proj.weight", "fc2.weight")) else 1.0
                p.normal_(0, 0.7 * shrink * p.shape[1] ** -0.5)
        vision = model.model.visual
        weight, bias = _whitened_patches(shape.vision_hidden, seed)
        vision.patch_embed.proj.weight.copy_(weight.view(-1, 3, 1, 16, 16).expand(-1, -1, 2, -1, -1) / 2)
        vision.patch_embed.proj.bias.copy_(bias)
        local_attention(vision)
        model.model.language_model.embed_tokens.weight.normal_(0, 0.05)
        vision.pos_embed.weight.copy_(_smooth_table(shape.position_side, shape.vision_hidden))
    return model


def _whitened_patches(width: int, seed: int, pictures: int = 160) -> tuple[torch.Tensor, torch.Tensor]:
    """([width, 768], [width]): the leading principal components of the generator's own patches, scaled to even variance.

    From random weights a patch's mean brightness drowns the thin strokes of letters for thousands of steps; whitening
    (LeCun et al., "Efficient BackProp", 1998, section 4.3) gives both the same voice from the first one.
    """
    rng, paths, found = random.Random(f"{seed}/patches"), fonts.paths(), []
    for i in range(pictures):
        kind = ("crop", "shapes", "settings", "note")[i % 4]
        scene = scenes.make(kind, rng, *((128, 96) if kind == "crop" else (160, 160)), paths)
        found.append(scenes.patches(scene.image))
    x = torch.from_numpy(np.concatenate(found)).float() / 127.5 - 1
    plain = x.var(1) < 1e-4
    x = torch.cat((x[~plain], x[plain][::8]))    # most patches are empty background: a share of them is enough
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values.flip(0)[:width], vectors.flip(1)[:, :width]
    weight = (vectors / (values + 0.1 * values.mean()).sqrt()).T * 0.7
    return weight, -weight @ mean


def _smooth_table(side: int, width: int) -> torch.Tensor:
    """[side*side, width] sines and cosines of x and y: neighbours start alike."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    rates = 1.5 * torch.exp(torch.linspace(0, torch.tensor(40.0).log(), width // 8))
    waves = [f(axis.reshape(-1, 1) * rates) for axis in (x, y) for f in (torch.sin, torch.cos)]
    table = torch.zeros(side * side, width)
    joined = torch.cat(waves, 1) * 0.5
    table[:, :joined.shape[1]] = joined
    return table


# (layer, head) -> (rows, columns, sharpness) to which that head looks at the beginning.
LOOKS = {(0, 0): (0, 1, 2.0), (0, 1): (0, -1, 2.0), (0, 2): (0, 0, 1.0), (1, 0): (1, 0, 2.0), (1, 1): (-1, 0, 2.0), (1, 2): (0, 0, 1.0),
         (2, 0): (1, 1, 1.2), (2, 1): (-1, -1, 1.2), (2, 2): (0, 0, 0.6)}


@torch.no_grad()
def local_attention(vision):
    """Lets the first layers' heads look at neighbours, as a convolution does, by constant parts of q and k.

    With equal constants in the fast rotary pairs of q and k the score of two patches is a sum of cos(frequency * distance),
    largest at distance 0; turning q's constant by an offset moves that peak. A tower without this learns from scratch that
    neighbours belong together (compare "ConViT", d'Ascoli et al. 2021, and mimetic initialisation, Trockman and Kolter 2023).
    """
    heads = vision.config.num_heads
    size = vision.config.hidden_size // heads
    quarter, pairs = size // 4, min(4, size // 4)
    rates = 10000.0 ** (-torch.arange(pairs) * 2 / (size // 2))
    for (layer, head), (rows, columns, sharpness) in LOOKS.items():
        if layer >= len(vision.blocks) or head >= heads:
            continue
        bias = vision.blocks[layer].attn.qkv.bias.view(3, heads, size)
        strength = (sharpness * size ** 0.5) ** 0.5
        # Rotary pair f of the rows is (f, f + size/2), of the columns (size/4 + f, ...).
        for first, offset in ((0, rows), (quarter, columns)):
            at = torch.arange(pairs) + first
            angle = rates * offset
            # The score is q.k turned by rates * (row_q - row_k): q's constant starts turned by the offset, so that it is
            # largest where row_k = row_q + offset.
            bias[0, head, at], bias[0, head, at + size // 2] = strength * angle.cos(), strength * angle.sin()
            bias[1, head, at], bias[1, head, at + size // 2] = torch.full((pairs,), strength), torch.zeros(pairs)


def _rotate_half(x):
    a, b = x.chunk(2, -1)
    return torch.cat((-b, a), -1)


def short_products() -> bool:
    """Whether this CPU multiplies bf16 faster than f32: then training does, with f32 weights, sums, norms and softmax."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def _attend(q, k, v, mask=None):
    """Attention [batch, heads, n, size]. In bf16 products written out take half the time of the fused kernel, in f32 the same."""
    if not torch.is_autocast_enabled("cpu"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).float()
    return torch.matmul((scores if mask is None else scores + mask).softmax(-1), v)


class Forward:
    """Batched forward over the parameters of `model` (not a copy)."""

    def __init__(self, model: Qwen3VLForConditionalGeneration):
        self.model, self.vision, self.text = model, model.model.visual, model.model.language_model
        self.grids = {}

    def _grid(self, rows: int, columns: int):
        """Position-table indices and weights, cos and sin of a picture of rows x columns patches; made once."""
        if (rows, columns) not in self.grids:
            grid = torch.tensor([[1, rows, columns]])
            index, weight = get_vision_interpolation_indices_and_weights(
                grid, num_grid_per_side=self.vision.num_grid_per_side, mode="bilinear", align_corners=True, spatial_merge_size=2)
            with torch.no_grad():
                cos, sin = self.vision.rotary_pos_emb(torch.zeros(1), get_vision_position_ids(grid, 2))
            self.grids[rows, columns] = (index, weight[..., None].float(), cos.float(), sin.float())
        return self.grids[rows, columns]

    def see(self, patches: torch.Tensor, rows: int, columns: int, deep: bool = True):
        """patches uint8 [batch, n, 768] of still pictures or [batch, n, 1536] of pairs of frames, rows x columns patches each.

        Returns (last [batch, n, vision_hidden], merged [batch*n/4, hidden], DeepStack rows: one [batch*n/4, hidden] a tap; none
        without `deep`).
        """
        index, weight, cos, sin = self._grid(rows, columns)
        proj = self.vision.patch_embed.proj
        hidden = proj.weight.shape[0]
        # A still picture is its frame twice, so the two temporal slices of the kernel act as their sum.
        x = patches.float().mul_(1 / 127.5).sub_(1)
        kernel = proj.weight.sum(2) if x.shape[-1] == 768 else proj.weight
        x = F.linear(x, kernel.reshape(hidden, -1), proj.bias)
        x = x + (self.vision.pos_embed(index) * weight).sum(1)
        batch, n, _ = x.shape
        heads, taps, rows_out = self.vision.config.num_heads, self.vision.deepstack_visual_indexes, []
        for i, block in enumerate(self.vision.blocks):
            q, k, v = block.attn.qkv(block.norm1(x)).view(batch, n, 3, heads, -1).permute(2, 0, 3, 1, 4)
            q = q * cos + _rotate_half(q) * sin
            k = k * cos + _rotate_half(k) * sin
            mixed = _attend(q, k, v).transpose(1, 2).reshape(batch, n, hidden)
            x = x + block.attn.proj(mixed)
            x = x + block.mlp.linear_fc2(F.gelu(block.mlp.linear_fc1(block.norm2(x)), approximate="tanh"))
            if deep and i in taps:
                rows_out.append(self.vision.deepstack_merger_list[taps.index(i)](x.reshape(batch * n, hidden)))
        return x, self.vision.merger(x.reshape(batch * n, hidden)), rows_out

    def read(self, ids, positions, mask, visual=None, merged=None, deep=(), guides=None, resting=None, longer=1.0):
        """ids [batch, length], positions [3, batch, length], mask [batch, 1, length, length] added to the scores.

        visual: flat indices of visual tokens; merged, deep: their rows. Returns hidden states [batch, length, hidden].
        guides: slot -> (flat indices [n], bool [n, length]) as lessons give them; resting: receives slot -> the logarithm of the
        attention [n] of that slot's head that rests where it should ((slot, layer, head) -> the same of ALSO's heads), and "found": the states of the finding tokens after the layer of
        slot `find`; "cells", "aimed": those of the visual tokens before the layer of slot `aim`, of the aiming tokens after it; "copied", "quoted", "reading",
        "compared", "counted": of the tokens of slots `copy`, `quote`, `read`, `other` and `count` after their layers; "pointing": those of WHERE after the layer of `read`.
        longer: the attention is told as it would be if all else that could be looked at were so many times as much.
        """
        batch, length = ids.shape
        h = self.text.embed_tokens(ids)
        width = h.shape[-1]
        if visual is not None:
            h = h.reshape(-1, width).index_copy(0, visual, merged.float()).view(batch, length, width)
        cos, sin = self.text.rotary_emb(h, positions)
        cos, sin = cos[:, None], sin[:, None]
        for i, layer in enumerate(self.text.layers):
            a = layer.self_attn
            x = F.rms_norm(h, (width,), layer.input_layernorm.weight, EPSILON)
            q = F.rms_norm(a.q_proj(x).view(batch, length, -1, a.head_dim).float(), (a.head_dim,), a.q_norm.weight, EPSILON).transpose(1, 2)
            k = F.rms_norm(a.k_proj(x).view(batch, length, -1, a.head_dim).float(), (a.head_dim,), a.k_norm.weight, EPSILON).transpose(1, 2)
            v = a.v_proj(x).view(batch, length, -1, a.head_dim).transpose(1, 2)
            q = q * cos + _rotate_half(q) * sin
            k = k * cos + _rotate_half(k) * sin
            if guides and ("aim" in guides or "read" in guides) and i == SLOTS["aim"][0] and visual is not None:
                resting["cells"] = h.reshape(-1, width)[visual]
            k, v = k.repeat_interleave(a.num_key_value_groups, 1), v.repeat_interleave(a.num_key_value_groups, 1)
            for slot, (tokens, rest) in (guides or {}).items():
                for at, head in (SLOTS[slot], *ALSO.get(slot, ())) if slot in SLOTS else ():
                    if at == i and head < q.shape[1]:
                        scores = (q[:, head] @ k[:, head].transpose(1, 2) * a.head_dim ** -0.5 + mask[:, 0]).flatten(0, 1)[tokens]
                        right, wrong = scores.masked_fill(~rest, float("-inf")).logsumexp(-1), scores.masked_fill(rest, float("-inf")).logsumexp(-1)
                        resting[slot if (at, head) == SLOTS[slot] else (slot, at, head)] = right - torch.logaddexp(right, wrong + math.log(longer))
            mixed = _attend(q, k, v, mask)
            h = h + a.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
            x = F.rms_norm(h, (width,), layer.post_attention_layernorm.weight, EPSILON)
            h = h + layer.mlp.down_proj(F.silu(layer.mlp.gate_proj(x)) * layer.mlp.up_proj(x))
            for slot, states in (("aim", "aimed"), ("find", "found"), ("copy", "copied"), ("other", "compared"), ("quote", "quoted"), ("read", "reading"), ("count", "counted")):
                if guides and slot in guides and i == SLOTS[slot][0]:
                    resting[states] = h.reshape(-1, width)[guides[slot][0]]
            if guides and WHERE in guides and i == SLOTS["read"][0]:
                resting["pointing"] = h.reshape(-1, width)[guides[WHERE][0]]
            if i < len(deep):
                h = h.reshape(-1, width).index_add(0, visual, deep[i].float()).view(batch, length, width)
        return F.rms_norm(h, (width,), self.text.norm.weight, EPSILON)
