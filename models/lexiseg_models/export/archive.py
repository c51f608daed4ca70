"""The bundle file: records of a TorchScript archive, their hash, the extra files beside them."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Callable, Dict, Iterator, Mapping

import torch

EXTRA = "extra/"
MANIFEST = "manifest.json"
_MAX_EXTRA_BYTES = 64 << 20
# Written by the archive writer itself: it hashes the names of all records, the extra ones too.
_SERIALIZATION_ID = ".data/serialization_id"
_VERSIONS = (".data/version", "version")
_TENSORS = ("data/", "constants/")
# Weights deflate by a fifth or so; more than this is a small file that asks for much memory.
_MAX_INFLATION = 4
_LEVEL = 9
# As far as the lengths of the name and of the extra field that follow it.
_LOCAL_HEADER = struct.Struct("<26xHH")
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

    Each record adds its name, a zero byte, its length as u64 little-endian and its bytes, as they
    lie in the file: of a deflated record, the deflated ones. Records under extra/ and the
    serialization id, which depends on them, stay out.
    """
    with _open_zip(path) as archive, path.open("rb") as file:
        records = _records(archive)
        digest = hashlib.sha256()
        for name in sorted(records, key=lambda n: n.encode("utf-8")):
            if _is_weight_record(name):
                _add_record(digest, name, _packed_bytes(file, records[name]))
        return digest.hexdigest()


def _packed_bytes(file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        raise BundleError(f"{file.name} is truncated")
    name_size, extra_size = _LOCAL_HEADER.unpack(header)
    file.seek(name_size + extra_size, os.SEEK_CUR)
    return file.read(info.compress_size)


def pack(source: Path, target: Path, manifest_of: Callable[[str], bytes]) -> None:
    """Copies a bundle with its tensors deflated where that makes them smaller.

    Args:
        source: the bundle.
        target: where the copy appears, once it is whole.
        manifest_of: the manifest of the copy, given the hash of its weights.
    """
    with atomic_output(target) as path:
        # The manifest holds a hash of what lies beside it: the first copy is to be hashed.
        _deflate(source, path, {})
        manifest = manifest_of(weights_sha256(path))
        _deflate(source, path, {EXTRA + MANIFEST: manifest})


def _deflate(source: Path, target: Path, replaced: Mapping[str, bytes]) -> None:
    deflated = []
    with _open_zip(source) as archive, zipfile.ZipFile(target, "w") as packed:
        for name, info in _records(archive).items():
            content = replaced.get(name) or archive.read(info)
            entry = zipfile.ZipInfo(info.filename)
            small = _deflated(content) if name.startswith(_TENSORS) else content
            if not len(content) / _MAX_INFLATION <= len(small) < len(content):
                packed.writestr(entry, content)
                continue
            packed.writestr(entry, small)
            # `zipfile` deflates by no strategy but its own: what it took as it is has a new header.
            entry.compress_type, entry.CRC = zipfile.ZIP_DEFLATED, zlib.crc32(content)
            entry.file_size = len(content)
            deflated.append(entry)
    with target.open("r+b") as file:
        for entry in deflated:
            file.seek(entry.header_offset)
            file.write(entry.FileHeader())


def _deflated(content: bytes) -> bytes:
    """Weights repeat no strings of bytes: bytes by how frequent they are, in large blocks."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return deflater.compress(content) + deflater.flush()


def read_extra_file(path: Path, name: str) -> bytes:
    """One file under extra/, without reading the weights."""
    with _open_zip(path) as archive:
        info = _records(archive).get(EXTRA + name)
        if info is None:
            raise BundleError(f"{path} holds no {EXTRA}{name}: not a lexiseg bundle")
        if info.file_size > _MAX_EXTRA_BYTES:
            raise BundleError(f"{EXTRA}{name} in {path} is too large: {info.file_size} bytes")
        try:
            return archive.read(info)
        except zipfile.BadZipFile as error:
            raise BundleError(f"{path} is damaged: {error}") from error


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise BundleError(f"{path} is not a bundle: {error}") from error


def _records(archive: zipfile.ZipFile) -> Dict[str, zipfile.ZipInfo]:
    """Records by name within the archive's top folder; those of tensors alone may be deflated."""
    records: Dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        _, _, name = info.filename.partition("/")
        deflated = info.compress_type == zipfile.ZIP_DEFLATED and name.startswith(_TENSORS)
        if info.compress_type != zipfile.ZIP_STORED and not deflated:
            raise BundleError(f"{archive.filename} holds a compressed record: {info.filename}")
        if info.file_size > _MAX_INFLATION * info.compress_size:
            raise BundleError(f"{archive.filename}: {info.filename} inflates far too much")
        records[name] = info
    return records
