"""Runs one OpenAI-style chat request on a checkpoint with transformers in f32 and returns every stage.

Owns the meaning of the stages that `weft dump` writes. The prompt comes from the checkpoint's own template through
transformers' renderer, ids from the tokenizers library, pixels from pixels.py, positions from get_rope_index, the rest
from the model's forward with eager attention. The text form of videos is the trained one (each pair of frames as
`<t seconds><|vision_start|>pads<|vision_end|>`), which transformers' own processor nests once more."""
import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig
from transformers.utils import logging as hf_logging
from transformers.utils.chat_template_utils import render_jinja_template

import models
import pixels
import video

hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()
GREEDY_TOKENS = 24


@dataclass
class Media:
    """One picture or clip of a prompt: uint8 patches, its grid and, for a clip, the times of its pairs."""
    kind: str  # "image" | "video"
    patches: np.ndarray
    grid: tuple
    times: list


def load_model(folder: Path, exact: dict | None = None, spec: models.Spec | None = None):
    """The model in f32. From the folder's own weights, or (FP8, split experts, GGUF) from the exact values given."""
    if exact is None:
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        return model.eval()
    config = AutoConfig.from_pretrained(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._attn_implementation = "eager"
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32, attn_implementation="eager")
    state = models.fuse_experts(exact, spec, transpose=False) if spec.moe else dict(exact)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"} or (missing and not spec.tied):
        raise ValueError(f"missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def translate(messages: list) -> list:
    """OpenAI messages as templates expect them: image_url -> image, video_url -> video, null content -> empty, arguments
    of tool calls as objects."""
    out = copy.deepcopy(messages)
    for message in out:
        if message.get("content") is None:
            message["content"] = ""
        if isinstance(message["content"], list):
            message["content"] = [translate_part(part) for part in message["content"]]
        for call in message.get("tool_calls") or []:
            function = call.get("function", call)
            if isinstance(function.get("arguments"), str):
                try:
                    function["arguments"] = json.loads(function["arguments"])
                except ValueError:
                    pass
    return out


def translate_part(part: dict) -> dict:
    for kind in ("image", "video"):
        if part.get("type") == kind + "_url":
            value = part[kind + "_url"]
            return {"type": kind, kind: value["url"] if isinstance(value, dict) else value}
    return part


def media_urls(messages: list):
    """(kind, url) in prompt order."""
    for message in messages:
        if isinstance(message["content"], list):
            for part in message["content"]:
                if part.get("type") in ("image", "video"):
                    yield part["type"], part[part["type"]]


class Reference:
    def __init__(self, folder, exact: dict | None = None, spec: models.Spec | None = None):
        self.folder = Path(folder)
        self.model = load_model(self.folder, exact, spec)
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.image_config = json.loads((self.folder / "preprocessor_config.json").read_text())
        self.video_config = json.loads((self.folder / "video_preprocessor_config.json").read_text())
        self.template = self._template()

    def _template(self) -> str:
        if (file := self.folder / "chat_template.jinja").exists():
            return file.read_text(encoding="utf-8")
        if (file := self.folder / "chat_template.json").exists():
            return json.loads(file.read_text(encoding="utf-8"))["chat_template"]
        return json.loads((self.folder / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]

    def render(self, request: dict) -> str:
        prompts, _ = render_jinja_template(
            conversations=[translate(request["messages"])], tools=request.get("tools"), chat_template=self.template,
            add_generation_prompt=True, **request.get("chat_template_kwargs", {}))
        return prompts[0]

    def load_media(self, request: dict, base: Path) -> list[Media]:
        out = []
        for kind, url in media_urls(translate(request["messages"])):
            path = Path(url.replace("{DIR}", os.fspath(base)).removeprefix("file://"))
            size = (self.image_config if kind == "image" else self.video_config).get("size", self.image_config)
            low = size.get("shortest_edge", size.get("min_pixels"))
            high = size.get("longest_edge", size.get("max_pixels"))
            if kind == "image":
                out.append(Media(kind, *pixels.image_patches(pixels.load_image(path), low, high), []))
            else:
                frames, fps = video.read_avi(path)
                indices = pixels.sample_frames(len(frames), fps)
                patches, grid = pixels.video_patches(frames[indices], low, high)
                out.append(Media(kind, patches, grid, pixels.timestamps(indices, fps)))
        return out

    def expand(self, prompt: str, media: list[Media]) -> str:
        """Pads repeated per token; a video's triple replaced whole by its timed pairs."""
        pieces, rest = [], prompt
        for item in media:
            pad = f"<|{item.kind}_pad|>"
            triple = f"<|vision_start|>{pad}<|vision_end|>"
            before, found, rest = rest.partition(triple)
            if not found:
                raise ValueError(f"the prompt has no place for a {item.kind}")
            tokens = item.grid[1] * item.grid[2] // 4
            run = f"<|vision_start|>{pad * tokens}<|vision_end|>"
            pieces += [before, run if item.kind == "image" else "".join(f"<{t:.1f} seconds>{run}" for t in item.times)]
        return "".join(pieces) + rest

    def run(self, request: dict, base: Path, greedy: int = GREEDY_TOKENS) -> dict:
        """Every stage as numpy arrays, by the names of `weft dump`; `margins` says how safe the greedy ids are."""
        media = self.load_media(request, base)
        prompt = self.render(request)
        ids = torch.tensor([self.tokenizer.encode(self.expand(prompt, media), add_special_tokens=False).ids])
        config = self.model.config
        types = (ids == config.image_token_id).int() + 2 * (ids == config.video_token_id).int()
        inputs, out = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, {"prompt": prompt}
        out["input_ids"] = ids[0].numpy().astype(np.int32)
        features = {}
        for kind, prefix, key in (("image", "", "pixel_values"), ("video", "video_", "pixel_values_videos")):
            items = [m for m in media if m.kind == kind]
            if not items:
                continue
            settings = self.image_config if kind == "image" else self.video_config
            raw = np.concatenate([m.patches for m in items])
            values = pixels.normalise(raw, settings["image_mean"], settings["image_std"])
            grids = torch.tensor([m.grid for m in items])
            inputs |= {key: torch.from_numpy(values), f"{kind}_grid_thw": grids, "mm_token_type_ids": types}
            out[f"{prefix}pixel_values"], out[f"{prefix}pixel_values_u8"] = values, raw
            out[f"{kind}_grid_thw"] = grids.numpy().astype(np.int32)
            with torch.no_grad():
                result = self.model.model.get_image_features(torch.from_numpy(values), grids, return_dict=True)
            features[kind] = iter(zip(result.pooler_output, *result.deepstack_features))
        if media:  # rows in prompt order, images and videos mixed
            rows = [torch.cat(group) for group in zip(*[next(features[m.kind]) for m in media])]
            out["vision_embeds"] = rows[0].numpy()
            out |= {f"deepstack_{i}": row.numpy() for i, row in enumerate(rows[1:])}
            grid = {k: inputs.get(k) for k in ("image_grid_thw", "video_grid_thw")}
            out["position_ids"] = self.model.model.get_rope_index(ids, types, **grid)[0][:, 0].numpy().astype(np.int32)
        else:
            out["position_ids"] = np.tile(np.arange(ids.shape[1], dtype=np.int32), (3, 1))
        out |= self._forward(inputs)
        out |= self._greedy(inputs, greedy)
        out["margins"]["router"] = out.pop("router_margin")
        return out

    def _forward(self, inputs: dict) -> dict:
        """Logits of every row, and hidden_<layer>: a layer's output with its DeepStack rows added."""
        text, hidden, gaps, handles = self.model.model.language_model, {}, [], []
        following = list(text.layers[1:]) + [text.norm]
        for i, module in enumerate(following):
            handles.append(module.register_forward_pre_hook(
                lambda _, args, kwargs, i=i: hidden.__setitem__(i, (args[0] if args else kwargs["hidden_states"])[0].clone()),
                with_kwargs=True))
        for layer in text.layers:
            if (gate := getattr(layer.mlp, "gate", None)) is not None:
                handles.append(gate.register_forward_hook(lambda module, _, result: gaps.append(
                    router_gap(result[0], module.top_k))))
        self.model.model.rope_deltas = None
        with torch.no_grad():
            logits = self.model(**inputs, use_cache=False).logits[0]
        for handle in handles:
            handle.remove()
        out = {f"hidden_{i}": rows.numpy() for i, rows in hidden.items()}
        return out | {"logits": logits.numpy(), "router_margin": min(gaps, default=1.0)}

    def _greedy(self, inputs: dict, count: int) -> dict:
        self.model.model.rope_deltas = None
        self.model.generation_config.pad_token_id = 0
        with torch.no_grad():
            result = self.model.generate(**inputs, do_sample=False, max_new_tokens=count, output_logits=True, top_k=None,
                                         top_p=None, temperature=None, return_dict_in_generate=True)
        top = torch.stack([step[0].topk(2).values for step in result.logits])
        ids = result.sequences[0, inputs["input_ids"].shape[1]:].numpy().astype(np.int32)
        return {"greedy_ids": ids, "margins": {"greedy": float((top[:, 0] - top[:, 1]).min())}}


def router_gap(logits: torch.Tensor, top_k: int) -> float:
    """How far the last chosen expert is from the first one left out, over all rows."""
    if top_k >= logits.shape[-1]:
        return 1.0
    probabilities = logits.float().softmax(-1).sort(dim=-1, descending=True).values
    return float((probabilities[:, top_k - 1] - probabilities[:, top_k]).min())
