"""Config files: JSON read into frozen dataclasses, with every mistake named by its place."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Type, TypeVar

_PACKAGE = Path(__file__).resolve().parent


def _data_folder(name: str) -> Path:
    """A folder of data files: inside an installed package, beside the package in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


CONFIGS = _data_folder("configs")
VOCABULARIES = _data_folder("vocabularies")

Config = TypeVar("Config")


class ConfigError(ValueError):
    """A config file does not say what it must."""


def read_json(path: Path) -> Any:
    """Parses a JSON file; a broken one is a ConfigError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error


def config_names(method: str) -> List[str]:
    """Names of the configs shipped for a method."""
    names = (path.stem for path in (CONFIGS / method).glob("*.json"))
    return sorted(name for name in names if name != "common")


def _merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> Dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _merge(typing.cast(Dict[str, Any], known), value) if both else value
    return merged


def read_config(method: str, name_or_path: str) -> Dict[str, Any]:
    """Reads a config by name (one of `config_names`) or by path.

    A file may name another beside it, or one of the shipped ones, in "extends" and then states
    only what differs.
    """
    name = name_or_path.lower()
    if name in config_names(method):
        return _read_extended(method, CONFIGS / method / f"{name}.json", depth=0)
    if not Path(name_or_path).is_file():
        known = ", ".join(config_names(method))
        raise ConfigError(
            f"Expected a JSON file or one of {known} for config but received {name_or_path}"
        )
    return _read_extended(method, Path(name_or_path), depth=0)


def _read_extended(method: str, path: Path, *, depth: int) -> Dict[str, Any]:
    if depth > 4:
        raise ConfigError(f"{path} extends more than four files deep")
    config = read_json(path)
    if not isinstance(config, dict):
        raise ConfigError(f"Expected an object in {path}")
    parent = config.pop("extends", None)
    if parent is None:
        return config
    if not isinstance(parent, str):
        raise ConfigError(f'Expected a name for "extends" in {path} but received {parent!r}')
    beside = path.parent / f"{parent}.json"
    place = beside if beside.is_file() else CONFIGS / method / f"{parent}.json"
    if not place.is_file():
        raise ConfigError(f'{path} extends "{parent}", which does not exist')
    return _merge(_read_extended(method, place, depth=depth + 1), config)


def _check(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind` (number, bool, str, one of some, or a fixed tuple), or a ConfigError."""
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
            raise ConfigError(f"Expected {len(kinds)} entries for {where} but received {value!r}")
        return tuple(_check(v, k, f"{where}[{i}]") for i, (v, k) in enumerate(zip(value, kinds)))
    if typing.get_origin(kind) is typing.Literal:
        if value not in typing.get_args(kind):
            known = ", ".join(typing.get_args(kind))
            raise ConfigError(f"Expected one of {known} for {where} but received {value!r}")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"Expected {kind.__name__} for {where} but received {value!r}")
    if kind is int and value < 1:
        raise ConfigError(f"Expected a positive int for {where} but received {value!r}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"Expected a finite number for {where} but received {value!r}")
    return value


def section(data: Mapping[str, Any], name: str, keys: Sequence[str]) -> Dict[str, Any]:
    """The object `name` of a config, with exactly the given keys; the whole file for ""."""
    value = data.get(name) if name else data
    where = name or "the config"
    if not isinstance(value, Mapping):
        raise ConfigError(f"Expected an object for {where} but received {value!r}")
    wrong = [f"unknown {key}" for key in value if key not in keys]
    wrong += [f"missing {key}" for key in keys if key not in value]
    if wrong:
        raise ConfigError(f"{where}: {', '.join(wrong)}")
    return dict(value)


def parse(kind: Type[Config], data: Any, where: str) -> Config:
    """Reads `data` into the dataclass `kind`; unknown and missing keys are errors.

    Args:
        kind: a dataclass of numbers, strings, Literal strings, booleans and fixed tuples of these.
        data: a mapping with exactly the fields of `kind`.
        where: the place in the file, for messages.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(typing.cast(Any, kind))]
    data = section({where: data}, where, names)
    return kind(**{name: _check(data[name], hints[name], f"{where}.{name}") for name in names})
