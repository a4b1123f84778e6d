from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP

from multimodal.clip.augmentation import augment
from multimodal.clip.training import MAX_SCALE, caption_batches, save_clip, train_clip
from multimodal.losses import symmetric_loss
from multimodal.optimizer import adamw

CONFIG = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 6, "width": 16, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"size": 16},
}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (250, 250, 250)}
TOKENIZE = open_clip.SimpleTokenizer(context_length=6)


def tiny_model() -> CLIP:
    torch.manual_seed(0)
    return CLIP(**CONFIG["model_cfg"])


def toy_photos(copies: int) -> tuple[torch.Tensor, list[str]]:
    """Squares of four colours, a little noisy, and their names."""
    rng = np.random.default_rng(0)
    captions = list(COLOURS) * copies
    tones = np.array([COLOURS[name] for name in captions])[:, :, None, None]
    photos = np.clip(tones + rng.normal(0, 12, (len(captions), 3, 20, 20)), 0, 255).astype(np.uint8)
    return torch.from_numpy(photos), captions


def accuracy(model: CLIP) -> float:
    """Share of unseen squares whose nearest caption is their own."""
    photos, captions = toy_photos(copies=8)
    images = augment(photos, 16, torch.Generator().manual_seed(99))
    with torch.inference_mode():
        cosines = model.encode_image(images, True) @ model.encode_text(TOKENIZE(list(COLOURS)), True).T
    nearest = [list(COLOURS)[best] for best in cosines.argmax(dim=1).tolist()]
    return float(np.mean([ours == theirs for ours, theirs in zip(nearest, captions, strict=True)]))


def train(model: CLIP, steps: int, seed: int = 0) -> list[float]:
    photos, captions = toy_photos(copies=8)
    batches = caption_batches(photos, captions, TOKENIZE, image_size=16, batch_size=16, seed=seed)
    return train_clip(model, batches, steps=steps, learning_rate=3e-3, progress=False)


def test_a_few_steps_raise_the_accuracy_on_toy_photos() -> None:
    model = tiny_model()
    before = accuracy(model.eval())
    losses = train(model, steps=40)
    assert before <= 0.5
    assert accuracy(model) >= 0.9
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert not model.training


def test_the_same_seed_trains_the_same_model_and_another_seed_another() -> None:
    first, again, other = (train(tiny_model(), steps=3, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_loss_equals_the_formula_with_known_pairs_left_out() -> None:
    rng = np.random.default_rng(1)
    images, texts = rng.normal(size=(2, 4, 5)).astype(np.float32)
    known = np.eye(4, dtype=bool)
    known[0, 2] = known[3, 1] = True
    expected = 0.0
    for cosines, allowed in ((images @ texts.T, known), (texts @ images.T, known.T)):
        for row in range(4):
            others = [math.exp(2 * cosines[row, k]) for k in range(4) if k == row or not allowed[row, k]]
            expected -= math.log(math.exp(2 * cosines[row, row]) / sum(others)) / 8
    loss = symmetric_loss(torch.from_numpy(images), torch.from_numpy(texts), 2.0, torch.from_numpy(known))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_scale_of_the_logits_stays_within_its_limit() -> None:
    losses = []
    for scale in (MAX_SCALE, 100 * MAX_SCALE):
        model = tiny_model()
        model.logit_scale.data.fill_(math.log(scale))
        losses += train(model, steps=1)
    assert losses[1] == pytest.approx(losses[0])


def test_only_matrices_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    for weights in model.parameters():
        weights.grad = torch.zeros_like(weights)
    adamw(model, learning_rate=0.5, weight_decay=0.1).step()
    for name, weights in model.named_parameters():
        torch.testing.assert_close(weights.detach(), before[name] * (0.95 if name == "0.weight" else 1.0))


def test_equal_captions_are_known_to_be_true_of_each_other_and_stay_with_their_photos() -> None:
    photos, captions = toy_photos(copies=2)
    batch = next(caption_batches(photos, captions, TOKENIZE, image_size=16, batch_size=8, seed=4))
    same = (batch.tokens[:, None] == batch.tokens[None]).all(dim=2)
    assert torch.equal(batch.known, same)
    assert batch.known.sum() == 16
    # The mean colour of every photo belongs to its caption.
    tokens = {tuple(row): name for row, name in zip(TOKENIZE(list(COLOURS)).tolist(), COLOURS, strict=True)}
    for image, row in zip(batch.images, batch.tokens.tolist(), strict=True):
        red, green, blue = image.mean(dim=(1, 2)).tolist()
        seen = {"red": red > max(green, blue) + 1, "green": green > max(red, blue) + 1,
                "blue": blue > max(red, green) + 1, "white": min(red, green, blue) > 0.5}  # fmt: skip
        assert seen[tokens[tuple(row)]]


def test_every_photo_comes_once_an_epoch() -> None:
    photos = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 8, 8) * 20
    captions = [f"number {n}" for n in range(10)]
    epoch = list(islice(caption_batches(photos, captions, TOKENIZE, image_size=8, batch_size=4), 3))
    assert [len(batch.tokens) for batch in epoch] == [4, 4, 2]
    assert len({tuple(row) for batch in epoch for row in batch.tokens.tolist()}) == 10


def test_training_says_when_the_batches_end_early() -> None:
    photos, captions = toy_photos(copies=1)
    batches = islice(caption_batches(photos, captions, TOKENIZE, image_size=16), 2)
    with pytest.raises(ValueError, match=r"^batches must last for 5 steps, ended after 2"):
        train_clip(tiny_model(), batches, steps=5, progress=False)


def test_a_saved_model_is_loaded_by_open_clip_up_to_half_precision(tmp_path: Path) -> None:
    model = tiny_model().eval()
    save_clip(model, CONFIG, tmp_path / "clip")
    loaded, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'clip'}")
    images = augment(toy_photos(copies=1)[0], 16, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        cosines = (model.encode_image(images, True) * loaded.eval().encode_image(images, True)).sum(dim=1)
    assert cosines.min() > 0.9999
    assert next(loaded.parameters()).dtype == torch.float32
