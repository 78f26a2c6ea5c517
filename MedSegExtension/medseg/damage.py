"""Whether a compressed file is whole.

ITK returns zeros, without a word, for a gzip file that is cut short or has a wrong bit (seen with ITK 5.4). The voxels
it returned are compared with the checksum at the end of the file, which costs a few milliseconds; only where that does
not fit (the reader swapped bytes or scaled values, or the file is damaged) is the file decompressed a second time.
"""

import gzip
import struct
import zlib
from pathlib import Path

import SimpleITK as sitk

from medseg.errors import BadInput

_CHUNK = 1 << 20


def check_gzip(path: Path, head: bytes, image: sitk.Image, wanted: int) -> None:
    """Check a gzip file that holds `head` and then the voxels of `image`; `wanted` is the length of its content.

    Raises:
        BadInput: if it is damaged or cut short.
    """
    crc = zlib.crc32(sitk.GetArrayViewFromImage(image), zlib.crc32(head))
    if _tail(path, 8) != struct.pack("<II", crc, wanted & 0xFFFFFFFF):
        check_gzip_stream(path, wanted)


def check_gzip_stream(path: Path, wanted: int) -> None:
    """Decompress a gzip file to see whether it is whole and holds at least `wanted` bytes.

    Raises:
        BadInput: if not.
    """
    found = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(_CHUNK):
                found += len(block)
    except EOFError as fault:
        raise cut_short(path, found, wanted) from fault
    except (gzip.BadGzipFile, zlib.error) as fault:
        raise damaged(path, str(fault)) from fault
    if found < wanted:
        raise cut_short(path, found, wanted)


def check_zlib(path: Path, offset: int, image: sitk.Image) -> None:
    """Check the zlib stream that begins at byte `offset` of a file and holds the voxels of `image`.

    Raises:
        BadInput: if it is damaged or cut short.
    """
    checksum = zlib.adler32(sitk.GetArrayViewFromImage(image))
    if _tail(path, 4) != checksum.to_bytes(4, "big"):
        _check_zlib_stream(path, offset)


def _check_zlib_stream(path: Path, offset: int) -> None:
    stream = zlib.decompressobj()
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while not stream.eof and (block := file.read(_CHUNK)):
                stream.decompress(block)
    except zlib.error as fault:
        raise damaged(path, str(fault)) from fault
    if not stream.eof:
        raise damaged(path, "it ends before its compressed voxels do")


def cut_short(path: Path, found: int, wanted: int) -> BadInput:
    """Return the error to raise for a file that ends early."""
    return BadInput(f"{path} is cut short: it holds {found} of {wanted} bytes; copy or download it again")


def damaged(path: Path, reason: str) -> BadInput:
    """Return the error to raise for a file whose bytes have changed."""
    return BadInput(f"{path} is damaged ({reason}); copy or download it again")


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
