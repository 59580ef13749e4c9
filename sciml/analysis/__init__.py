"""Analysis of trained networks: a network as a linear operator at a point, and the spectrum of that operator."""

from sciml.analysis.linearize import Function, differences, linearize
from sciml.analysis.spectrum import Mode, Part, Spectrum, spectrum

__all__ = ["Function", "Mode", "Part", "Spectrum", "differences", "linearize", "spectrum"]
