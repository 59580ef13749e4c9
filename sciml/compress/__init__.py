"""Formats that store weights in a file with fewer bits than in the training."""

from sciml.compress.formats import FORMATS, Format, pack, stored_bytes, unpack

__all__ = ["FORMATS", "Format", "pack", "stored_bytes", "unpack"]
