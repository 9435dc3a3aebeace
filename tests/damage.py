"""Damaged copies of a small file."""

from collections.abc import Iterator


def damages(whole: bytes) -> Iterator[bytes]:
    """The content with any one byte changed, with zeroed blocks, truncated, and with one more byte."""
    for i in range(len(whole)):
        yield whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]
    for size in (16, 512, 4096):
        for i in range(0, len(whole), size):
            if any(whole[i : i + size]):
                yield whole[:i] + bytes(len(whole[i : i + size])) + whole[i + size :]
    yield from (whole[:n] for n in range(0, len(whole), 100))
    yield whole + b"1"
