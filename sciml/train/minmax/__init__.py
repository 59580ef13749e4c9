"""Min-max problems and variational inequalities, over one process or many, with compressed messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sciml.lazy import attach

if TYPE_CHECKING:
    from sciml.train.minmax.compressors import Identity as Identity
    from sciml.train.minmax.compressors import NaturalRounding as NaturalRounding
    from sciml.train.minmax.compressors import RandK as RandK
    from sciml.train.minmax.compressors import TopK as TopK
    from sciml.train.minmax.draws import Draws as Draws
    from sciml.train.minmax.extragradient import Extragradient as Extragradient
    from sciml.train.minmax.games import bilinear_game as bilinear_game
    from sciml.train.minmax.group_game import group_game as group_game
    from sciml.train.minmax.inequality import VariationalInequality as VariationalInequality
    from sciml.train.minmax.iteration import SaddleSolution as SaddleSolution
    from sciml.train.minmax.masha import MASHA1 as MASHA1
    from sciml.train.minmax.masha import MASHA2 as MASHA2
    from sciml.train.minmax.proximal import box as box
    from sciml.train.minmax.proximal import simplex as simplex
    from sciml.train.minmax.robust import Robust as Robust
    from sciml.train.minmax.robust import RobustObjective as RobustObjective
    from sciml.train.minmax.transport import Local as Local
    from sciml.train.minmax.transport import Processes as Processes

__getattr__, __dir__, __all__ = attach(__name__, __file__)
