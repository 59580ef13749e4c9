"""Analysis of trained networks: a network as a linear operator at a point, Jacobians of functions, and spectra."""

from sciml.analysis.jacobian import Function, differences, jacobians
from sciml.analysis.linearize import Action, LinearAction, linearize
from sciml.analysis.spectrum import Mode, Part, Spectrum, spectrum

__all__ = [
    "Action",
    "Function",
    "LinearAction",
    "Mode",
    "Part",
    "Spectrum",
    "differences",
    "jacobians",
    "linearize",
    "spectrum",
]
