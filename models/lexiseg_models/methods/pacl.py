"""PACL (arXiv 2212.04994): text and the patches of a frozen vision transformer, made to agree."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.methods.pacl_config import PaclConfig, meets_text
from lexiseg_models.methods.pacl_config import parse_config as parse_config
from lexiseg_models.objectives.patch_alignment import compatibility
from lexiseg_models.parts.classifier import CosineClassifier, synonym_maximum
from lexiseg_models.parts.dense import PatchGrid
from lexiseg_models.parts.dino_transformer import DinoTransformer, DinoTransformerConfig
from lexiseg_models.parts.patch_embedder import PatchEmbedder
from lexiseg_models.parts.pooled_transformer import PooledTransformer, PooledTransformerConfig
from lexiseg_models.parts.preprocess import Preprocess
from lexiseg_models.parts.text_encoder import TextEncoder
from lexiseg_models.parts.vision_transformer import VisionTransformer

METHODS = (
    "encode_text",
    "encode_image",
    "segment_dense",
    "classify_image",
    "patch_similarity",
    "encode_patches",
)
STAGES = ()
TASKS = ("semantic",)
PROPOSALS = ()


class Pacl(nn.Module):
    """Class scores of every patch, and of images whose patches each class weighs for itself."""

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        image_tower: nn.Module,
        patches: Tuple[nn.Module, PatchGrid, bool],
        text_encoder: TextEncoder,
        classifier: CosineClassifier,
        sharpness: float,
    ) -> None:
        """Composes parts that `build` made.

        `patches` are the embedder that leads to text space, the grid, and whether tokens are taken
        after the tower's last norm.
        """
        super().__init__()
        self.preprocess = preprocess
        self.image_tower = image_tower
        self.patch_embedder, self.patch_grid, self.final_norm = patches
        self.text_encoder = text_encoder
        self.classifier = classifier
        self.sharpness: float = sharpness

    @torch.jit.export
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Prompts, int64 [N, L], to text embeddings, float32 [N, D], unit norm."""
        return self.text_encoder(token_ids)

    def embed_patches(self, network_input: Tensor, stride: int) -> Tensor:
        """Normalised images [B, 3, H, W] to embedded patches float32 [B, h, w, D]."""
        _, tokens = self.image_tower(network_input, stride, self.final_norm)
        return self.embed_tokens(tokens.permute(0, 2, 3, 1))

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Patch tokens [B, h, w, W] to embedded patches float32 [B, h, w, D]."""
        return self.patch_embedder(tokens.to(torch.float32)).to(torch.float32)

    def similarities(self, network_input: Tensor, text: Tensor) -> Tensor:
        """Cosines of patches and texts, float32 [B, N, h, w]."""
        patches = F.normalize(self.embed_patches(network_input, self.patch_grid.stride), dim=3)
        return (patches @ text.to(torch.float32).t()).permute(0, 3, 1, 2)

    def area(self, maps: Tensor, network_input: Tensor) -> Tensor:
        """What the grid of maps [B, C, h, w] on patches fills: float32 [4], see `PatchGrid`."""
        return self.patch_grid(maps, network_input.shape[2], network_input.shape[3])

    @torch.jit.export
    def segment_dense(
        self, image: Tensor, class_embeddings: Tensor, synonym_counts: Tensor
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Class logits of patches.

        Args:
            image: uint8 [B, H, W, 3], RGB.
            class_embeddings: float32 [S, D], unit norm.
            synonym_counts: int64 [K], summing to S.

        Returns:
            float32 [B, K, h, w], scaled cosines; what their grid fills of the network input,
            float32 [4] (top, left, height, width), pixels; the size of the resized image inside
            that input, pixels, int64 [2] (height, width).
        """
        network_input, valid_size = self.preprocess(image)
        cosines = self.similarities(network_input, class_embeddings)
        best = synonym_maximum(cosines.permute(0, 2, 3, 1), synonym_counts).permute(0, 3, 1, 2)
        return self.classifier.scale() * best, self.area(cosines, network_input), valid_size

    @torch.jit.export
    def patch_similarity(self, image: Tensor, text: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Cosines of every patch and every text, for heat maps.

        Args:
            image: uint8 [B, H, W, 3], RGB.
            text: float32 [N, D], unit norm.

        Returns:
            float32 [B, N, h, w], -1..1; the rest as `segment_dense` gives it.
        """
        network_input, valid_size = self.preprocess(image)
        cosines = self.similarities(network_input, text)
        return cosines, self.area(cosines, network_input), valid_size

    @torch.jit.export
    def encode_patches(self, image: Tensor) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
        """Patches as the tower leaves them and as they meet texts, on the tower's own grid.

        Args:
            image: uint8 [B, H, W, 3], RGB.

        Returns:
            tokens float32 [B, h, w, W] of the frozen tower; embeddings float32 [B, h, w, D], unit
            norm; the size of the grid, pixels, and that of the resized image, int64 [2] each
            (height, width). Patch (i, j) is the square of pixels of the resized image from (i, j)
            times the patch size on; less than a patch may be left over.
        """
        network_input, valid_size = self.preprocess(image)
        patch: int = self.image_tower.patch
        _, tokens = self.image_tower(network_input, patch, self.final_norm)
        tokens = tokens.permute(0, 2, 3, 1)
        embeddings = F.normalize(self.embed_tokens(tokens), dim=3)
        grid_size = torch.tensor(
            [patch * tokens.shape[1], patch * tokens.shape[2]], dtype=torch.int64
        )
        return tokens.to(torch.float32), embeddings, grid_size, valid_size

    @torch.jit.export
    def classify_image(
        self, image: Tensor, class_embeddings: Tensor, synonym_counts: Tensor
    ) -> Tensor:
        """Class logits of whole images: every class pools the patches by its own weights (sec. 4).

        Args:
            image: uint8 [B, H, W, 3], RGB.
            class_embeddings: float32 [S, D], unit norm.
            synonym_counts: int64 [K], summing to S.

        Returns:
            float32 [B, K].
        """
        network_input, _ = self.preprocess(image)
        patches = self.embed_patches(network_input, self.image_tower.patch).flatten(1, 2)
        pooled = compatibility(patches, class_embeddings, self.sharpness)
        return self.classifier.scale() * synonym_maximum(pooled, synonym_counts)


class ClipPacl(Pacl):
    """On CLIP's own image tower, which also embeds whole images."""

    def __init__(self, **parts: Any) -> None:
        """`parts` are those of the base; a `patch_embedder` that is the identity changes nothing.

        Then CLIP's own projection, untrained for patches, leads to text space.
        """
        super().__init__(**parts)
        self.projected: bool = isinstance(self.patch_embedder, nn.Identity)

    @torch.jit.export
    def encode_image(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, 3], RGB, to CLIP's own image embeddings float32 [B, D], unit norm."""
        return self.image_tower.embed_images(self.preprocess(image)[0])

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Patch tokens [B, h, w, W] to embedded patches float32 [B, h, w, D]."""
        if self.projected:
            return (tokens @ self.image_tower.projection).to(torch.float32)
        return self.patch_embedder(tokens.to(torch.float32)).to(torch.float32)


def methods(config: PaclConfig) -> Tuple[str, ...]:
    """What the network of a config exports: without CLIP's image tower no image embeddings."""
    clip = meets_text(config)
    return tuple(name for name in METHODS if clip or name != "encode_image")


def keep_float32(config: PaclConfig) -> Tuple[str, ...]:
    """Submodules whose weights stay float32 whatever the dtype.

    The embedder is small, and what it gives is compared by cosines that lie close together.
    """
    return ("patch_embedder", "classifier")


def _build_tower(config: Any, width: int) -> nn.Module:
    if isinstance(config, DinoTransformerConfig):
        return DinoTransformer(config)
    if isinstance(config, PooledTransformerConfig):
        return PooledTransformer(config, embedding_dim=width)
    return VisionTransformer(config, embedding_dim=width)


def build_parts(config: PaclConfig) -> Dict[str, Any]:
    """The parts of the method with fresh weights, by the names of its constructor."""
    width, tower, dense = config.embedding_dim, config.image_tower, config.dense
    objective = config.objective
    aligned = dense.embedder == "residual"
    embedder = PatchEmbedder(in_width=tower.width, out_width=width) if aligned else nn.Identity()
    image_tower = _build_tower(tower, width)
    if dense.embedder_start == "projection":
        embedder.start_near(image_tower.projection)
    return {
        "preprocess": Preprocess(config.image),
        "image_tower": image_tower,
        "patches": (
            embedder,
            PatchGrid(patch=tower.patch, stride=dense.stride, exact=dense.exact),
            dense.final_norm,
        ),
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=width),
        "classifier": CosineClassifier(scale=objective.scale, learned=objective.scale_learned),
        "sharpness": objective.sharpness,
    }


def build(config: PaclConfig) -> Pacl:
    """Composes the method with fresh weights, in eval mode."""
    return (ClipPacl if meets_text(config) else Pacl)(**build_parts(config)).eval()
