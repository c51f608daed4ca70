"""CLIP (arXiv 2103.00020): images and texts in one space, with either kind of image tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple, Type, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.configuration import parse, section
from lexiseg_models.methods.clip_section import parse_clip
from lexiseg_models.objectives.boxes import cover_boxes, pool_boxes
from lexiseg_models.objectives.contrastive import Contrastive
from lexiseg_models.objectives.parameter_groups import (
    LOG_SCALE_BOUNDS,
    Part,
    gains_and_biases,
    parameter_groups,
)
from lexiseg_models.parts.classifier import CosineClassifier
from lexiseg_models.parts.convnext import ConvNext, ConvNextConfig, PooledRegionHead
from lexiseg_models.parts.pooled_transformer import PooledTransformer, PooledTransformerConfig
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess
from lexiseg_models.parts.text_encoder import TextEncoder, TextEncoderConfig
from lexiseg_models.parts.vision_transformer import VisionTransformer, VisionTransformerConfig

METHODS = ("encode_text", "encode_image")
STAGES = ()
TASKS = ()
PROPOSALS = ()
PARTS = (
    Part("image_tower", ("image_tower", "region_head"), frozen=False, learning_rate_multiplier=1.0),
    Part("text_encoder", ("text_encoder",), frozen=False, learning_rate_multiplier=1.0),
    Part("logit_scale", ("classifier",), False, 1.0, LOG_SCALE_BOUNDS),
)
_SECTIONS = ("clip", "image", "prompt_templates", "training_vocabulary")
_TOWERS = ("convnext", "vision-transformer", "pooled-transformer")


@dataclass(frozen=True)
class ClipConfig:
    """Everything that fixes the network; see the files in configs/clip."""

    embedding_dim: int
    image_tower: Union[ConvNextConfig, VisionTransformerConfig, PooledTransformerConfig]
    text_encoder: TextEncoderConfig
    image: ImageConfig


class _Towers(nn.Module):
    """Two towers into one space; `embed_images` is the subclass's own."""

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        image_tower: nn.Module,
        text_encoder: TextEncoder,
        classifier: CosineClassifier,
    ) -> None:
        """Composes parts that `build` made."""
        super().__init__()
        self.preprocess = preprocess
        self.image_tower = image_tower
        self.text_encoder = text_encoder
        self.classifier = classifier

    @torch.jit.export
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Prompts, int64 [N, L], to text embeddings, float32 [N, D], unit norm."""
        return self.text_encoder(token_ids)

    @torch.jit.export
    def encode_image(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, 3], RGB, to image embeddings float32 [B, D], unit norm."""
        return self.embed_images(self.preprocess(image)[0])


class Clip(_Towers):
    """Images embedded by what a convolutional tower has everywhere, on average."""

    def __init__(self, *, region_head: PooledRegionHead, **towers: Any) -> None:
        """`towers` are those of the base."""
        super().__init__(**towers)
        self.region_head = region_head

    def embed_images(self, network_input: Tensor) -> Tensor:
        """Normalised images float32 [B, 3, H, W] to float32 [B, D], unit norm."""
        dense = self.image_tower(network_input)[3]
        return F.normalize(self.region_head.embed_images(dense).to(torch.float32), dim=1)

    def embed_boxes(self, network_input: Tensor, boxes: Tensor) -> Tensor:
        """As `embed_images`, of boxes int64 [N, 5] of the images (`pool_boxes`): [N, D]."""
        dense = self.image_tower(network_input)[3]
        size = (network_input.shape[2], network_input.shape[3])
        embeddings = self.region_head.embed(pool_boxes(dense, boxes, size))
        return F.normalize(embeddings.to(torch.float32), dim=1)


class TransformerClip(_Towers):
    """Images embedded by the class token of a vision transformer."""

    def embed_images(self, network_input: Tensor) -> Tensor:
        """Normalised images float32 [B, 3, H, W] to float32 [B, D], unit norm."""
        return self.image_tower.embed_images(network_input)

    def embed_boxes(self, network_input: Tensor, boxes: Tensor) -> Tensor:
        """Refuses: one class token stands for a whole image, not for each of its boxes."""
        if boxes.shape[0] > 0:
            raise ValueError("Expected no boxes for a vision transformer")
        return network_input


class PooledClip(_Towers):
    """Images embedded by what a learned query reads from their patches."""

    def embed_images(self, network_input: Tensor) -> Tensor:
        """Normalised images float32 [B, 3, H, W] to float32 [B, D], unit norm."""
        return self.image_tower.embed_images(network_input)

    def embed_boxes(self, network_input: Tensor, boxes: Tensor) -> Tensor:
        """As `embed_images`, of boxes int64 [N, 5] of the images (`cover_boxes`): [N, D]."""
        size = (network_input.shape[2], network_input.shape[3])
        patch: int = self.image_tower.patch
        # What is left at the right and the bottom would be in no patch.
        if size[0] % patch != 0 or size[1] % patch != 0:
            raise ValueError("Expected canvases whose sides are multiples of the patch")
        grid = (size[0] // patch, size[1] // patch)
        cover = cover_boxes(boxes, network_input.shape[0], size, grid)
        return self.image_tower.embed_parts(network_input, boxes[:, 0], cover)


class _Losses(nn.Module):
    """What both kinds learn from."""

    def __init__(self, **parts: Any) -> None:
        """`parts` are those of the method."""
        super().__init__(**parts)
        self.objective = Contrastive()

    @torch.jit.export
    def losses(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weighted losses by name; their sum is what training makes small.

        Args:
            batch: `images` uint8 [B, H, W, 3] of the size the network sees, `token_ids` int64
                [N, L] of a caption of each, and optionally `paired_token_ids` int64 [N, L'] of
                another caption of the same images, which must then agree with the first
                (text supervision as in DeCLIP, arXiv 2110.05208, sec. 3.2), and `boxes` int64
                [N, 5] (`pool_boxes`): the captions are then of these boxes, each of which is
                pooled alone from an image that holds many (as YOLOv4 lays mosaics, arXiv
                2004.10934, sec. 3.3). What a mask pools from a whole scene is then what training
                has seen.
        """
        network_input = self.preprocess.normalise(batch["images"])
        if "boxes" in batch:
            image = self.embed_boxes(network_input, batch["boxes"])
        else:
            image = self.embed_images(network_input)
        text = self.text_encoder(batch["token_ids"])
        losses = self.objective(image, text, self.classifier.scale())
        if "paired_token_ids" in batch:
            paired = self.text_encoder(batch["paired_token_ids"])
            both_ways = self.objective(paired, text, self.classifier.scale())
            losses["text_to_text"] = both_ways["image_to_text"] + both_ways["text_to_image"]
        return losses


class TrainableClip(_Losses, Clip):
    """The method with `losses` beside what it does at inference."""


class TrainableTransformerClip(_Losses, TransformerClip):
    """The method with `losses` beside what it does at inference."""


class TrainablePooledClip(_Losses, PooledClip):
    """The method with `losses` beside what it does at inference."""


def parse_config(data: Mapping[str, Any]) -> ClipConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = parse_clip(data, _TOWERS)
    return ClipConfig(
        embedding_dim=clip.embedding_dim,
        image_tower=clip.image_tower,
        text_encoder=clip.text_encoder,
        image=parse(ImageConfig, data.get("image"), "image"),
    )


def keep_float32(config: ClipConfig) -> tuple[str, ...]:
    """Submodules whose weights stay float32 whatever the dtype."""
    return ("region_head", "classifier")


def _parts(config: ClipConfig) -> Dict[str, Any]:
    width, tower = config.embedding_dim, config.image_tower
    parts: Dict[str, Any] = {
        "preprocess": Preprocess(config.image),
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=width),
        "classifier": CosineClassifier(scale=1.0 / 0.07),
    }
    if isinstance(tower, VisionTransformerConfig):
        return {"image_tower": VisionTransformer(tower, embedding_dim=width), **parts}
    if isinstance(tower, PooledTransformerConfig):
        return {"image_tower": PooledTransformer(tower, embedding_dim=width), **parts}
    head = PooledRegionHead(tower, embedding_dim=width)
    return {"image_tower": ConvNext(tower), "region_head": head, **parts}


# What embeds images with each kind of tower, and the same with its objective.
_KINDS: Dict[type, Tuple[Type[_Towers], Type[_Losses]]] = {
    ConvNextConfig: (Clip, TrainableClip),
    VisionTransformerConfig: (TransformerClip, TrainableTransformerClip),
    PooledTransformerConfig: (PooledClip, TrainablePooledClip),
}


def build(config: ClipConfig) -> nn.Module:
    """Composes the method with fresh weights, in eval mode."""
    return _KINDS[type(config.image_tower)][0](**_parts(config)).eval()


def build_trainable(data: Mapping[str, Any]) -> nn.Module:
    """Composes the method with its objective from a config file."""
    config = parse_config(data)
    return _KINDS[type(config.image_tower)][1](**_parts(config)).eval()


def batch_kind(data: Mapping[str, Any]) -> str:
    """What `losses` takes."""
    return "image-text"


def groups(module: nn.Module) -> List[Dict[str, Any]]:
    """Parameter groups for the manifest."""
    return parameter_groups(module, PARTS, gains_and_biases)
