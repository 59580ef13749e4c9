"""Figures of fields, profiles and scores in one style, safe for colour-blind readers, with units on every axis.

Functions take arrays and return matplotlib figures. They do not use pyplot and change no global settings.
"""

from sciml.plot.analogs import AnalogProfile, analogs
from sciml.plot.attribution import attribution
from sciml.plot.diagrams import confusion, reliability
from sciml.plot.equilibrium import Course, equilibrium
from sciml.plot.fields import Panel, curves, panels, shares, spectra
from sciml.plot.levels import score_by_level
from sciml.plot.linear_response import linear_response
from sciml.plot.maps import Field, triptych
from sciml.plot.profiles import Profile, errors, profiles
from sciml.plot.rainfall import fraction_skill, performance, rain_maps
from sciml.plot.scatter import Pair, density
from sciml.plot.style import COLOURS, png, style

__all__ = [
    "COLOURS",
    "AnalogProfile",
    "Course",
    "Field",
    "Pair",
    "Panel",
    "Profile",
    "analogs",
    "attribution",
    "confusion",
    "curves",
    "density",
    "equilibrium",
    "errors",
    "fraction_skill",
    "linear_response",
    "panels",
    "performance",
    "png",
    "profiles",
    "rain_maps",
    "reliability",
    "score_by_level",
    "shares",
    "spectra",
    "style",
    "triptych",
]
