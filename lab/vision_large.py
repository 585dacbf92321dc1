"""Makes tests/vision/large.npy: rows of a picture that the encoder must cut into several chunks, by transformers in f32.

The picture is 640 x 480, value (x, y, channel) = (7x + 13y + 29c + xy mod 31) mod 256; the model is the golden model
vision_head72. Stored: [1 + deepstack, chosen tokens, hidden], the tokens of CHOSEN.    usage: python vision_large.py"""
from pathlib import Path

import numpy as np
import torch

import pixels
import reference

TESTS = Path(__file__).resolve().parent.parent / "tests"
WIDTH, HEIGHT, CHOSEN = 640, 480, [0, 1, 127, 128, 129, 255, 256, 299]


def main() -> None:
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    rgb = ((7 * x + 13 * y + 29 * c + x * y % 31) % 256).astype(np.uint8)
    raw, grid = pixels.patchify(rgb[None])
    model = reference.load_model(TESTS / "golden" / "models" / "vision_head72" / "model")
    values = torch.from_numpy(pixels.normalise(raw, (0.5,) * 3, (0.5,) * 3))
    with torch.no_grad():
        out = model.model.visual(values, grid_thw=torch.tensor([grid]))
    rows = torch.stack([out.pooler_output, *out.deepstack_features])
    np.save(TESTS / "vision" / "large.npy", rows[:, CHOSEN].numpy())


if __name__ == "__main__":
    main()
