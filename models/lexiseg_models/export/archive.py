"""The bundle file: records of a TorchScript archive, their hash, the extra files beside them."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, Mapping

import torch

EXTRA = "extra/"
MANIFEST = "manifest.json"
_MAX_EXTRA_BYTES = 64 << 20
# Written by the archive writer itself: it hashes the names of all records, the extra ones too.
_SERIALIZATION_ID = ".data/serialization_id"
_VERSIONS = (".data/version", "version")
_WRITTEN_AT_END = (*_VERSIONS, "byteorder", ".format_version", ".storage_alignment")


class BundleError(ValueError):
    """A file is not a bundle, or not a sound one."""


def _is_weight_record(name: str) -> bool:
    return not name.startswith(EXTRA) and name != _SERIALIZATION_ID


def _add_record(digest: hashlib._Hash, name: str, content: bytes) -> None:
    digest.update(name.encode("utf-8") + b"\0" + struct.pack("<Q", len(content)))
    digest.update(content)


@contextmanager
def atomic_output(out: Path) -> Iterator[Path]:
    """Yields a path with the same name in a temporary folder beside `out`; moves it at the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lexiseg-", dir=out.parent) as folder:
        path = Path(folder) / out.name
        yield path
        os.replace(path, out)


def save_records(module: torch.jit.ScriptModule, path: Path) -> None:
    """Saves a scripted module without the debug records, which hold paths of this machine."""
    with tempfile.TemporaryDirectory(prefix="save-", dir=path.parent) as folder:
        raw = Path(folder) / path.name
        torch.jit.save(module, str(raw))
        _copy(raw, path, {})


def _copy(source: Path, target: Path, extra: Mapping[str, bytes]) -> None:
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    names = reader.get_all_records()
    version = next(name for name in _VERSIONS if name in names)
    writer.set_min_version(int(reader.get_record(version)))
    for name in sorted(names):
        if name in _WRITTEN_AT_END or not _is_weight_record(name) or name.endswith(".debug_pkl"):
            continue
        content = reader.get_record(name)
        writer.write_record(name, content, len(content))
    for name in sorted(extra):
        writer.write_record(EXTRA + name, extra[name], len(extra[name]))
    writer.write_end_of_file()


def add_extra_files(source: Path, target: Path, extra: Mapping[str, bytes]) -> None:
    """Copies an archive with files under extra/ added; the other records stay byte for byte."""
    _copy(source, target, extra)


def weights_sha256(path: Path) -> str:
    """Hash of everything that makes the network, in byte order of the record names.

    Each record adds its name, a zero byte, its length as u64 little-endian and its bytes. Records
    under extra/ and the serialization id, which depends on them, stay out.
    """
    with _open_zip(path) as archive:
        records = _records(archive)
        digest = hashlib.sha256()
        for name in sorted(records, key=lambda n: n.encode("utf-8")):
            if _is_weight_record(name):
                _add_record(digest, name, archive.read(records[name]))
        return digest.hexdigest()


def read_extra_file(path: Path, name: str) -> bytes:
    """One file under extra/, without reading the weights."""
    with _open_zip(path) as archive:
        info = _records(archive).get(EXTRA + name)
        if info is None:
            raise BundleError(f"{path} holds no {EXTRA}{name}: not a lexiseg bundle")
        if info.file_size > _MAX_EXTRA_BYTES:
            raise BundleError(f"{EXTRA}{name} in {path} is too large: {info.file_size} bytes")
        return archive.read(info)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BundleError(f"{path} is not a bundle: {error}") from error


def _records(archive: zipfile.ZipFile) -> Dict[str, zipfile.ZipInfo]:
    """Records by name within the archive's top folder; a compressed one is refused."""
    records: Dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        _, _, name = info.filename.partition("/")
        if info.compress_type != zipfile.ZIP_STORED:
            raise BundleError(f"{archive.filename} holds a compressed record: {info.filename}")
        records[name] = info
    return records
