"""Families of problems: a template problem, and its fields that are drawn for each sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from sciml.checks import is_whole
from sciml.errors import InputError, SchemaError
from sciml.pde import random_fields
from sciml.pde.advection import AdvectionDiffusion
from sciml.pde.burgers import Burgers
from sciml.pde.elliptic import Darcy, Poisson
from sciml.pde.grid import Centring, Field, Grid
from sciml.pde.helmholtz import Helmholtz
from sciml.pde.navier_stokes import NavierStokes
from sciml.pde.random_fields import AnyMedium, GaussianField, Lognormal, Multiscale, TwoPhase
from sciml.pde.terms import in_axes
from sciml.tables import html_table

__all__ = ["FAMILIES", "Family", "family_named", "family_of_inputs", "register"]

PdeProblem: TypeAlias = Any
"""A frozen dataclass such as `Darcy`."""
_OF_THE_GRID: Final = ("resolution", "centring", "boundary", "lengths", "seed")


@dataclass(frozen=True)
class Family:
    """Problems that differ only in their random fields.

    Parameters
    ----------
    name
        Name of the family, also in the commands.
    template
        Problem whose resolution, centring and seed are replaced for each sample. Its other fields (boundary, source,
        contrast, tau, ...) are the same for the whole family; a family with another template is shown below.
    inputs
        Names of the fields of the problem that differ between samples.
    about
        Description in one line.
    target
        Name of the solution.
    refined
        Refinement of the grid on which problems in time and `Helmholtz` problems (with the blended mass matrix) are
        solved. The dataset contains every ``refined``-th point. The published Navier-Stokes data use 4.

    Raises
    ------
    InputError
        ``refined`` is less than 1, or greater than 1 for a problem that cannot be refined.

    Examples
    --------
    >>> from dataclasses import replace
    >>> rough = FAMILIES["darcy-rough"]
    >>> rough.problem(31, seed=7).coefficient
    TwoPhase(low=2, high=12, tau=4.47213595499958, alpha=2.0)
    >>> harder = replace(rough, template=Darcy(3, TwoPhase(1, 1000, tau=5)))
    >>> harder.problem(31, seed=7).coefficient.high
    1000
    """

    name: str
    template: PdeProblem
    inputs: tuple[str, ...]
    about: str = ""
    target: str = "u"
    refined: int = 1

    def __post_init__(self) -> None:
        waves = isinstance(self.template, Helmholtz)
        if not is_whole(self.refined, 1) or (self.refined > 1 and not (self.stepped or waves)):
            raise InputError(
                f"refined={self.refined!r} of {self.name}: give at least 1, and more only where time is stepped or "
                "waves are solved for (Helmholtz)"
            )
        if waves and self.refined > 1:
            object.__setattr__(self, "template", dataclasses.replace(self.template, mass="blended"))

    def problem(
        self, resolution: int | tuple[int, ...], seed: int, centring: Centring = "vertex"
    ) -> PdeProblem:
        """Return the problem of a seed, which determines the same random field at every resolution."""
        if self.stepped and centring != "vertex":
            raise InputError(
                f"centring={centring!r}: {self.name} is periodic and needs a vertex-centred grid"
            )
        if self.refined > 1 and centring != "vertex":
            raise InputError(
                f"centring={centring!r} with refined={self.refined}: only nodes of a finer grid are used"
            )
        return self._replaced(resolution=resolution, centring=centring, seed=seed)

    def caution(self, problem: PdeProblem) -> str:
        """Return the caution on the accuracy of the solutions of a problem; "" where there is none."""
        return problem.pollution() if isinstance(problem, Helmholtz) and self.refined == 1 else ""

    def check_inputs(self) -> None:
        """Check that the inputs are fields of the problem.

        Raises
        ------
        InputError
            An input is not; the message lists the fields.
        """
        kind = type(self.template)
        names = [setting.name for setting in dataclasses.fields(self.template)]
        there = [name for name in names if hasattr(kind, f"{name}_field")]
        if not self.inputs or not set(self.inputs) <= set(there):
            raise InputError(
                f"inputs={self.inputs!r} of {self.name}: a {kind.__name__} has {', '.join(there)}"
            )

    def fields(self, problem: PdeProblem) -> dict[str, Field]:
        """Return the inputs of a problem, each of the shape of its grid."""
        return {name: getattr(problem, f"{name}_field")() for name in self.inputs}

    def problem_with(self, grid: Grid | None, fields: Mapping[str, Field]) -> PdeProblem:
        """Return the problem with these inputs on a grid; without a grid, inputs (x) on the periodic line."""
        if grid is None:
            return self._replaced(resolution=next(iter(fields.values())).shape, **fields)
        if isinstance(self.template, NavierStokes):  # subsampling adds a mean, which a velocity cannot have
            fields = {name: values - values.mean() for name, values in fields.items()}
        return self._replaced(
            resolution=grid.shape,
            centring=grid.centring,
            boundary=grid.boundary,
            lengths=grid.lengths,
            **fields,
        )

    def _replaced(self, **values: Any) -> PdeProblem:
        """Replace fields of the template; values for other names are ignored."""
        names = {setting.name for setting in dataclasses.fields(self.template)}
        return dataclasses.replace(
            self.template, **{name: value for name, value in values.items() if name in names}
        )

    @property
    def same_operator(self) -> bool:
        """Whether only the right-hand side differs from sample to sample."""
        return self.inputs == ("source",)

    @property
    def stepped(self) -> bool:
        """Whether the problems are stepped in time."""
        return hasattr(self.template, "equation")

    def parameters(self) -> dict[str, Any]:
        """Return all settings except the grid and the seed, as values that JSON can store."""
        settings = {
            setting.name: _plain(getattr(self.template, setting.name))
            for setting in dataclasses.fields(self.template)
            if setting.name not in _OF_THE_GRID
        }
        return {"problem": type(self.template).__name__, **settings} | (
            {"refined": self.refined} if self.refined > 1 else {}
        )

    @classmethod
    def from_parameters(cls, name: str, parameters: Mapping[str, Any], inputs: tuple[str, ...]) -> Family:
        """Make a family from the output of `parameters`.

        Raises
        ------
        InputError
            A parameter is a function that is not the problem's default; a file contains only its name.
        SchemaError
            The parameters were written by another version.
        """
        content = dict(parameters)
        kind = _problem_classes().get(content.pop("problem", ""))
        refined = int(content.pop("refined", 1))
        try:
            if kind is None:
                raise ValueError(f"problem {parameters.get('problem')!r}")
            usual = {setting.name: _plain(setting.default) for setting in dataclasses.fields(kind)}
            for key, value in content.items():
                if _is_function(value) and key not in inputs and value != usual[key]:
                    raise InputError(
                        f"{key} of the family {name!r} is the function {value['function']}, of which a file holds the "
                        f"name alone: pose the problem in Python, {kind.__name__}(..., {key}=...)"
                    )
            given = {key: _built(value) for key, value in content.items() if not _is_function(value)}
            template = kind(resolution=101, **given)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            if isinstance(error, InputError) and "the name alone" in str(error):
                raise
            raise SchemaError(
                f"the family {name!r} is of another version of sciml ({error}), or of a family of yours that is not "
                "registered: register it (sciml.pde.register), generate the dataset again, or use the version in its "
                "attribute sciml_version"
            ) from error
        known = FAMILIES.get(name)
        return cls(name, template, inputs, known.about if known else "", refined=refined)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.about}", f"  {', '.join(self.inputs)} -> {self.target}"]
        return "\n".join(lines + [f"  {name:16}{value}" for name, value in self._rows()])

    def _rows(self) -> Iterator[tuple[str, str]]:
        for key, value in self.parameters().items():
            if isinstance(value, dict):
                value = value.get("function") or ", ".join(f"{k} {v}" for k, v in value.items())
            yield key.replace("_", " "), str(value)

    def _repr_html_(self) -> str:
        maps = ("maps", f"{', '.join(self.inputs)} -> {self.target}")
        return html_table(f"{self.name}: {self.about}", [maps, *self._rows()])


def _plain(value: Any) -> Any:
    """Return a field of a template as values that JSON can store."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **dataclasses.asdict(value)}
    if callable(value):
        return {"function": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "dtype"):  # an array or number of numpy, xarray or dask
        return in_axes(value).tolist()
    return value


def _is_function(value: Any) -> bool:
    return isinstance(value, dict) and "function" in value


def _built(value: Any) -> Any:
    if isinstance(value, dict) and "class" in value:
        kind = _field_class(value["class"])
        return kind(**{key: item for key, item in value.items() if key != "class"})
    if isinstance(value, list):
        built = [_built(item) for item in value]
        return np.array(built) if built and isinstance(built[0], list) else tuple(built)
    return value


def _problem_classes() -> dict[str, Any]:
    """Return the problem class of each family, by the name of the class."""
    return {type(family.template).__name__: type(family.template) for family in FAMILIES.values()}


def _field_class(name: str) -> Any:
    """Return a class of random fields by its name: of `sciml.pde.random_fields`, or of a registered family."""
    own = {
        type(value).__name__: type(value)
        for family in FAMILIES.values()
        for value in vars(family.template).values()
        if dataclasses.is_dataclass(value)
    }
    return own.get(name) or getattr(random_fields, name)


def _families() -> dict[str, Family]:
    decaying = NavierStokes(64, viscosity=2.5e-4, forcing=0.0, final_time=10.0)
    named = [
        Family(
            "darcy-smooth",
            Darcy(3, TwoPhase(3, 12)),
            ("coefficient",),
            "two-phase porous medium of long correlation, the benchmark of FNO (Li et al. 2021)",
        ),
        Family(
            "darcy-rough",
            Darcy(3, TwoPhase(2, 12, tau=20**0.5)),
            ("coefficient",),
            "two-phase porous medium of short correlation (He, Liu and Xu 2024)",
        ),
        Family(
            "darcy-multiscale",
            Darcy(3, Multiscale()),
            ("coefficient",),
            "trigonometric coefficient of six scales (HANO, MgNO)",
        ),
        Family(
            "darcy-lognormal", Darcy(3, Lognormal()), ("coefficient",), "lognormal porous medium, continuous"
        ),
        Family(
            "darcy-any",
            Darcy(3, AnyMedium(), source=GaussianField(tau=5.0, alpha=1.0)),
            ("coefficient", "source"),
            "any of the above and contrasts up to 1000, random source: to learn cycles from",
        ),
        Family(
            "poisson",
            Poisson(3, GaussianField()),
            ("source",),
            "random smooth source, one operator for all samples",
        ),
        Family(
            "helmholtz",
            Helmholtz(),
            ("wave_speed",),
            "waves driven through the top of a Neumann square (de Hoop et al. 2022); as published, far from the "
            "solution of the equation at 101 nodes: see --refined",
        ),
        Family(
            "advection-diffusion",
            AdvectionDiffusion(3, Lognormal(sigma=0.5, mean=0.2)),
            ("diffusion",),
            "random diffusion in a steady wind",
        ),
        Family("burgers", Burgers(64), ("initial",), "shocks forming on a periodic line (Li et al. 2021)"),
        Family(
            "navier-stokes", NavierStokes(64), ("vorticity",), "forced plane flow (Li et al. 2021)", refined=2
        ),
        Family("decaying-turbulence", decaying, ("vorticity",), "plane flow that nothing drives", refined=2),
    ]
    return {family.name: family for family in named}


BY_NAME: Final = _families()
FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(BY_NAME)
"""Families by name: those of `_families`, and those that `register` added."""


def register(family: Family) -> Family:
    """Add a family under its name, for `generate`, the commands and datasets of this process.

    Parameters
    ----------
    family
        Family to add. Its problem may be any frozen dataclass with ``resolution``, ``seed``, ``grid``, ``terms()``,
        and a method ``NAME_field()`` for each input, as in `Darcy`.

    Returns
    -------
    Family
        The same family.

    Raises
    ------
    InputError
        The argument is not a family, its problem does not have one of the inputs, or the name is in use.

    Examples
    --------
    >>> from dataclasses import replace
    >>> try:
    ...     register(replace(FAMILIES["poisson"], about="another one"))
    ... except InputError as error:
    ...     print(error)
    there is another family 'poisson': give yours another name
    """
    if not isinstance(family, Family):
        raise InputError(f"register({family!r}): give a Family(name, template, inputs)")
    family.check_inputs()
    if BY_NAME.get(family.name, family) is not family:
        raise InputError(f"there is another family {family.name!r}: give yours another name")
    BY_NAME[family.name] = family
    return family


def family_of_inputs(inputs: Sequence[str]) -> Family | None:
    """Return the first family whose only input is one of these; ``source``, the most common, is tried last."""
    usual: dict[str, Family] = {}
    for family in FAMILIES.values():
        if len(family.inputs) == 1:
            usual.setdefault(family.inputs[0], family)
    names = sorted(usual, key=lambda name: name == "source")
    return next((usual[name] for name in names if name in inputs), None)


def family_named(name: str | Family) -> Family:
    """Return the family of a name; a family is returned unchanged.

    Raises
    ------
    InputError
        The name is unknown; the message lists the names.

    Examples
    --------
    >>> print(family_named("poisson"))
    poisson: random smooth source, one operator for all samples
      source -> u
      problem         Poisson
      source          class GaussianField, scale 1.0, tau 3.0, alpha 2.0
      boundary value  0.0
      flux            0.0
    """
    if isinstance(name, Family):
        return name
    if name not in FAMILIES:
        import difflib

        near = difflib.get_close_matches(str(name), FAMILIES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"no family {name!r}: {hint}there are {', '.join(FAMILIES)}")
    return FAMILIES[name]
