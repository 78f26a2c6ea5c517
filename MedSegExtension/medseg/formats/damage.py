"""Whether a compressed file is whole.

For files that are cut short or have a wrong bit ITK returns zeros (NIfTI) or wrong voxels (NRRD, MetaImage) without a
word (seen with ITK 5.4). The voxels it returned are compared with the checksum at the end of the file, which costs a
few milliseconds; only where that does not fit (the reader swapped bytes or scaled values, or the file is damaged) is
the file decompressed a second time.
"""

import gzip
import struct
import zlib
from pathlib import Path

import SimpleITK as sitk

from medseg.errors import BadInput

_CHUNK = 1 << 20


def check_gzip(path: Path, head: bytes, image: sitk.Image, wanted: int, offset: int = 0) -> None:
    """Check the gzip stream that begins at byte `offset` of a file and holds `head`, then the voxels of `image`.

    `wanted` is the length of its content.

    Raises:
        BadInput: if it is damaged or cut short.
    """
    if not fits_trailer(path, head, image, wanted):
        check_gzip_stream(path, wanted, offset)


def fits_trailer(path: Path, head: bytes, image: sitk.Image, wanted: int) -> bool:
    """Whether `head` and the voxels of `image` are what the trailer of a gzip file says it holds, bit by bit."""
    crc = zlib.crc32(sitk.GetArrayViewFromImage(image), zlib.crc32(head))
    return _tail(path, 8) == struct.pack("<II", crc, wanted & 0xFFFFFFFF)


def check_gzip_stream(path: Path, wanted: int, offset: int = 0) -> None:
    """Decompress a gzip stream to see whether it is whole and holds at least `wanted` bytes.

    Raises:
        BadInput: if not.
    """
    found = 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            stream = gzip.GzipFile(fileobj=file)
            while block := stream.read1(_CHUNK):
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
    voxels = sitk.GetArrayViewFromImage(image)
    if _tail(path, 4) == zlib.adler32(voxels).to_bytes(4, "big"):
        return
    checksum = _zlib_checksum(path, offset)
    if checksum not in (zlib.adler32(voxels), zlib.adler32(voxels.byteswap())):
        raise damaged(path, "its compressed voxels are not as many or not those that its header announces")


def _zlib_checksum(path: Path, offset: int) -> int:
    """Decompress a zlib stream and return the checksum of its content."""
    stream, checksum = zlib.decompressobj(), 1
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while not stream.eof and (block := file.read(_CHUNK)):
                checksum = zlib.adler32(stream.decompress(block), checksum)
    except zlib.error as fault:
        raise damaged(path, str(fault)) from fault
    return checksum


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
