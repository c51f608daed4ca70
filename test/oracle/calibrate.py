"""Shift a random model so that its masks cover parts of a picture and its classes are told apart.

Only values that a published checkpoint holds too are changed: biases, norm weights, last layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from .drawing import draw_picture
from .model import OracleModel
from .predictor import ClassMatrix, Prediction
from .preprocess import preprocess
from .resnet import ResNetTower
from .vocabulary import Vocabulary

NAMES = (
    "cat,sofa,wooden floor,window,floor lamp,bookshelf,person,car,traffic light,road,sidewalk,"
    "building,sky,cable car,rubbish bin,scooter,tree"
).split(",")
PICTURE_SEEDS = (11, 12, 13)
MASK_LOGIT_MEAN, MASK_LOGIT_SPREAD = -12.0, 12.0


@dataclass(frozen=True)
class Scene:
    """What the network sees in one calibration picture."""

    res5: Tensor
    mask_features: Tensor
    maps: list[Tensor]


def spread_outputs(model: OracleModel) -> None:
    """Centre and scale texts, masks, in-vocabulary and out-of-vocabulary embeddings."""
    tower = model.clip
    vocabulary = Vocabulary.parse(NAMES, [True] * len(NAMES))
    prompts = vocabulary.prompts()[:, ::5]
    tower.ln_final.bias.sub_(tower.text_hidden(prompts.flatten(0, 1)).mean(0))
    classes = model.class_matrix(prompts, vocabulary.synonym_counts)
    features = _scene_features(model)
    _separate_mask_features(model, features)
    scenes = _scene_features(model)
    for _ in range(6):
        _separate_masks(model, scenes, classes)
    _fit_in_vocabulary(model, scenes, classes)
    _centre_out_of_vocabulary(model, scenes, classes)


def _scene_features(model: OracleModel) -> list[Scene]:
    config = replace(model.config, shortest_edge=224, longest_edge=384)
    scenes = []
    for seed in PICTURE_SEEDS:
        picture = draw_picture(200, 180 + 40 * (seed % 3), seed)
        pyramid = model.clip.visual.feature_maps(preprocess(picture, config).image)
        scenes.append(Scene(pyramid[-1], *model.sem_seg_head.pixel_decoder(pyramid)))
    return scenes


def _separate_mask_features(model: OracleModel, scenes: list[Scene]) -> None:
    layer = model.sem_seg_head.pixel_decoder.mask_features
    values = torch.cat([s.mask_features[0].flatten(1) for s in scenes], dim=1)
    direction = functional.normalize(torch.ones(values.shape[0]), dim=0)
    layer.bias.sub_(values.mean(1) - direction * values.std(1).norm())


def _final(model: OracleModel, scene: Scene, classes: ClassMatrix) -> Prediction:
    return model.sem_seg_head.predictor(scene.maps, scene.mask_features, classes)[-1]


def _separate_masks(model: OracleModel, scenes: list[Scene], classes: ClassMatrix) -> None:
    predictor = model.sem_seg_head.predictor
    embeddings: list[Tensor] = []
    hook = predictor.mask_embed.register_forward_hook(lambda *call: embeddings.append(call[2]))
    logits = torch.cat([_final(model, s, classes).mask_logits.flatten(2) for s in scenes], dim=2)
    hook.remove()
    layers = model.config.decoder.decoder_layers
    final = torch.cat(embeddings[layers :: layers + 1], dim=1)[0]
    last = predictor.mask_embed.layers[2]
    last.bias.sub_(final.mean(0))
    gain = MASK_LOGIT_SPREAD / float(logits.std(dim=2).mean())
    last.weight.mul_(gain)
    last.bias.mul_(gain)
    centre = torch.stack([s.mask_features.mean(dim=(0, 2, 3)) for s in scenes]).mean(0)
    last.bias.add_(MASK_LOGIT_MEAN * centre / centre.square().sum())


def _fit_in_vocabulary(model: OracleModel, scenes: list[Scene], classes: ClassMatrix) -> None:
    """Let query q mean class q mod K, by ridge regression, as decidedly as a trained network."""
    predictor = model.sem_seg_head.predictor
    last = predictor.class_embed.layers[2]
    inputs: list[Tensor] = []
    hook = last.register_forward_hook(lambda *call: inputs.append(call[1][0]))
    for scene in scenes:
        _final(model, scene, classes)
    hook.remove()
    layers = model.config.decoder.decoder_layers
    hidden = torch.cat(inputs[layers :: layers + 1], dim=1)[0].double()
    queries = torch.arange(hidden.shape[0]) % model.config.decoder.queries
    wanted = classes.rows[queries % (len(classes.rows) - 1)].double()
    centred = hidden - hidden.mean(0)
    gram = centred.t() @ centred
    ridge = 0.5 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + ridge, centred.t() @ (wanted - wanted.mean(0)))
    last.weight.copy_(weight.t())
    last.bias.copy_(wanted.mean(0) - hidden.mean(0) @ weight)


def _centre_out_of_vocabulary(
    model: OracleModel, scenes: list[Scene], classes: ClassMatrix
) -> None:
    visual = model.clip.visual
    masks = [_pooling_masks(_final(model, s, classes).mask_logits, s.res5) for s in scenes]
    if isinstance(visual, ResNetTower):
        regions = [visual.region_embeddings(s.res5, m) for s, m in zip(scenes, masks, strict=True)]
        regions = [r[m.flatten(2).any(-1)] for r, m in zip(regions, masks, strict=True)]
        visual.attnpool.c_proj.bias.sub_(torch.cat(regions).mean(0))
        return
    pooled = [
        torch.einsum("chw,qhw->qc", s.res5[0], m[0] / (m[0].sum((-1, -2), keepdim=True) + 1e-8))
        for s, m in zip(scenes, masks, strict=True)
    ]
    norm = visual.trunk.head["norm"]
    normed = norm(torch.cat(pooled)[:, :, None, None])[:, :, 0, 0]
    gain = 1.0 / float((normed - normed.mean(0)).std())
    norm.bias.sub_(normed.mean(0)).mul_(gain)
    norm.weight.mul_(gain)


def _pooling_masks(mask_logits: Tensor, res5: Tensor) -> Tensor:
    resized = functional.interpolate(
        mask_logits, size=res5.shape[-2:], mode="bilinear", align_corners=False
    )
    return (resized > 0).float()
