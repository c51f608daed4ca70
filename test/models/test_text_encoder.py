"""The text tower against open_clip's with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.convert.clip import TEXT_RULES
from lexiseg_models.convert.matching import match_tensors
from lexiseg_models.parts.classifier import CosineClassifier
from lexiseg_models.parts.text_encoder import TextEncoder, TextEncoderConfig
from torch import nn

SHAPE = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3}


def pair(published, quick):
    """open_clip's model and our text tower holding its weights."""
    vision = {"layers": 1, "width": 64, "head_width": 16, "image_size": 32, "patch_size": 32}
    theirs = published.open_clip.model.CLIP(48, vision, dict(SHAPE), quick_gelu=quick).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.15 if parameter.dim() > 1 else 0.5)
    config = TextEncoderConfig(64, 64, 4, 3, 77, 49408, "quick_gelu" if quick else "gelu")
    ours = nn.Module()
    ours.text_encoder = TextEncoder(config, embedding_dim=48)
    ours.out_of_vocabulary_classifier = CosineClassifier(scale=1.0)
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("visual.")}
    renamed, faults = match_tensors(ours, TEXT_RULES, state, "CLIP")
    assert faults == []
    ours.load_state_dict(renamed)
    return theirs, ours.text_encoder.eval()


PROMPTS = ["a photo of a cat.", "There is a large wooden floor in the scene.", "", "naïve café ☕"]


@pytest.mark.parametrize("quick", [False, True])
def test_gives_the_embeddings_of_open_clip(published, quick):
    theirs, ours = pair(published, quick)
    ids = published.open_clip.tokenize(PROMPTS)
    with torch.inference_mode():
        expected = F.normalize(theirs.encode_text(ids), dim=1)
        actual = ours(ids)
    assert actual.dtype == torch.float32
    assert torch.allclose(actual, expected, atol=1e-5)
    assert torch.allclose(actual.norm(dim=1), torch.ones(4), atol=1e-5)


def test_padding_after_the_end_token_has_no_influence(published):
    _, ours = pair(published, False)
    ids = published.open_clip.tokenize(PROMPTS)
    longest = int((ids != 0).sum(dim=1).max())
    with torch.inference_mode():
        assert torch.allclose(ours(ids), ours(ids[:, :longest]), atol=1e-5)


@pytest.mark.parametrize(
    "ids",
    [
        torch.zeros(2, 78, dtype=torch.int64),
        torch.zeros(2, 0, dtype=torch.int64),
        torch.zeros(2, 5, dtype=torch.int32),
        torch.zeros(5, dtype=torch.int64),
    ],
)
def test_refuses_token_ids_of_another_shape_or_dtype(tiny, ids):
    with pytest.raises(ValueError, match="token_ids"):
        tiny.encode_text(ids)


def test_refuses_an_unknown_activation():
    with pytest.raises(ValueError, match="gelu or quick_gelu"):
        TextEncoder(TextEncoderConfig(8, 8, 2, 1, 77, 10, "relu"), embedding_dim=4)
