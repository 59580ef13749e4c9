"""How weights lie in a file, in fewer bits than they are trained with."""

from sciml.compress.formats import FORMATS, Format, pack, stored_bytes, unpack

__all__ = ["FORMATS", "Format", "pack", "stored_bytes", "unpack"]
