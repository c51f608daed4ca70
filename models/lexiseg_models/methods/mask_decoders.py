"""The sections of the two decoders that turn a feature pyramid into queries and masks."""

from __future__ import annotations

from typing import Any, Mapping, Tuple

from lexiseg_models.configuration import ConfigError, parse
from lexiseg_models.parts.pixel_decoder import PixelDecoderConfig
from lexiseg_models.parts.transformer_decoder import TransformerDecoderConfig


def parse_decoders(data: Mapping[str, Any]) -> Tuple[PixelDecoderConfig, TransformerDecoderConfig]:
    """Reads "pixel_decoder" and "transformer_decoder" of a config file, two parts that must fit."""
    decoder = parse(
        TransformerDecoderConfig, data.get("transformer_decoder"), "transformer_decoder"
    )
    pixel_decoder = parse(PixelDecoderConfig, data.get("pixel_decoder"), "pixel_decoder")
    if pixel_decoder.width != decoder.width:
        raise ConfigError("pixel_decoder.width and transformer_decoder.width differ")
    for name, part in (("pixel_decoder", pixel_decoder), ("transformer_decoder", decoder)):
        if part.width % part.heads != 0:
            raise ConfigError(f"Expected {name}.width to be a multiple of {part.heads}")
    return pixel_decoder, decoder
