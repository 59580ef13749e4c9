"""The published networks: parameter counts, accepted sizes, and errors."""

from __future__ import annotations

import json

import pytest
import torch

from sciml.errors import InputError
from sciml.operators.published.benchmarks import RECIPES, PublishedArchitecture
from sciml.operators.published.layer import MultigridConvolution, level_sizes
from sciml.operators.published.network import PublishedMgNO, published

COUNTS = {
    "darcy-smooth": 678_093,
    "darcy-rough": 572_661,
    "darcy-multiscale": 572_661,
    "pipe": 783_876,
    "navier-stokes": 2_885_194,
    "helmholtz": 5_351_806,
}
SIZES = {
    "darcy-smooth": (51, 19),
    "darcy-rough": (64, 32),
    "pipe": (32, 64),
    "navier-stokes": (64, 64),
    "helmholtz": (101, 101),
}


def test_all_recipes_have_a_count() -> None:
    assert RECIPES.keys() == COUNTS.keys()


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_parameter_counts(name: str, count: int) -> None:
    assert sum(p.numel() for p in published(name).parameters()) == count


@pytest.mark.parametrize(("name", "size"), SIZES.items())
@torch.no_grad()
def test_shapes(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(7)
    network = published(name)
    x = torch.randn(2, network.architecture.in_channels, *size)
    plain = network(x)
    assert plain.shape == (2, 1, *size)
    network.to(memory_format=torch.channels_last)
    again = network(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-5)


def test_parameters_without_effect() -> None:
    torch.manual_seed(7)
    small = PublishedArchitecture.from_json({**_plain("helmholtz"), "size": 53})
    network = PublishedMgNO(small)
    network(torch.randn(1, 1, 53, 53)).square().sum().backward()
    dead = sum(p.numel() for p in network.parameters() if p.grad is None)
    assert dead == RECIPES["helmholtz"].dead == 11_241
    rough = published("darcy-rough")
    rough(torch.randn(1, 1, 32, 32)).square().sum().backward()
    assert all(p.grad is not None for p in rough.parameters())


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("darcy-rough", 100, "sizes that work: 96, 128, 160 and so on in steps of 32"),
        ("darcy-rough", 129, "128, 160, 192"),
        ("darcy-smooth", 64, "51, 83, 115 and so on in steps of 32"),
        ("darcy-smooth", 421, "403, 435"),
        ("navier-stokes", 128, "hold 64 x 64"),
        ("helmholtz", 100, "hold 101 x 101"),
    ],
)
def test_a_grid_that_does_not_fit(name: str, size: int, message: str) -> None:
    network = published(name)
    with pytest.raises(InputError, match=f"{size} x {size}.*{message}"):
        network(torch.zeros(1, 1, size, size))


@pytest.mark.parametrize("size", [1, 2, 5, 19, 50])
def test_named_sizes_are_accepted(size: int) -> None:
    network = PublishedMgNO(PublishedArchitecture(layers=1, channels=2, prolongations=(3, 4, 3, 3, 4)))
    near = [int(word) for word in network._near(size).partition(" and")[0].split(", ")]
    for points in near:
        assert network(torch.zeros(1, 1, points, points)).shape[-1] == points
        assert level_sizes(points, (3, 4, 3, 3, 4)) is not None


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"'darcy'.*darcy-smooth, darcy-rough"):
        published("darcy")
    with pytest.raises(InputError, match="leave size out"):
        published("pipe", size=64)
    with pytest.raises(InputError, match=r"\(sample, 2 channels, .*\(2, 3, 32, 32\)"):
        published("pipe")(torch.zeros(2, 3, 32, 32))
    with pytest.raises(InputError, match="layers=0"):
        PublishedArchitecture(layers=0)
    with pytest.raises(InputError, match="needs size"):
        PublishedArchitecture(norm="layer")
    with pytest.raises(InputError, match="wind"):
        PublishedArchitecture.from_json({"wind": 3})
    with pytest.raises(InputError, match="a width for each level but the last"):
        MultigridConvolution(1, 1, smoothing=((1, 0),), prolongations=(4,))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name: str) -> None:
    recipe = RECIPES[name]
    shape = recipe.architecture
    for points in (recipe.resolution,):
        assert level_sizes(points, shape.prolongations, shape.transfer_padding) is not None
    settings = recipe.fit(seed=11)
    assert (settings.epochs, settings.batch_size) == (recipe.epochs, recipe.batch_size)
    assert settings.div_factor == 2.0
    assert PublishedArchitecture.from_json(_plain(name)) == shape


def _plain(name: str) -> dict[str, object]:
    plain = json.loads(json.dumps(published(name).config()))
    assert plain.pop("class") == "PublishedMgNO"
    return plain
