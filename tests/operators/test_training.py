"""Training of an operator: errors decrease, interrupted trainings give the same bits, invalid data fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
import xarray as xr

from sciml.errors import InputError, MissingVariable, SchemaError
from sciml.operators import samples as sampling
from sciml.operators import training
from sciml.operators.field_scaling import FieldMoments, ValueMoments
from sciml.operators.neural import Neural
from sciml.operators.samples import Samples
from sciml.operators.trained_operator import TrainedOperator, samples_for
from sciml.pde import generate
from sciml.pde.grid import Boundary, Grid
from sciml.train import checkpoint, relative_l2
from sciml.train.progress import Quiet
from sciml.train.state import resume_path

FAST = {"epochs": 2, "batch_size": 8, "seed": 17, "threads": 1, "device": "cpu"}
SMALL = {"class": "Small"}


def train(data: Any, output: Path, **options: Any) -> TrainedOperator:
    asked = {"fit": FAST, "network": SMALL, "progress": Quiet(), **options}
    return training.train(data, output, **asked)


def test_training_reduces_the_error_and_the_checkpoint_is_equal(darcy: xr.Dataset, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "d.sciml"
    longer = {**FAST, "epochs": 12, "learning_rate": 5e-3}
    operator = train(darcy, output, validation=8, fit=longer)
    assert operator.about["errors"]["relative_l2"] < 0.25
    held = operator.about["held_out"]
    assert len(set(held)) == 8
    assert operator.about["samples"] == 32
    fields = {"coefficient": torch.from_numpy(darcy["coefficient"].values[held])}
    truth = torch.from_numpy(darcy["u"].values[held])
    error = relative_l2(operator.predict(fields), truth)
    assert float(error) == pytest.approx(operator.about["errors"]["relative_l2"], rel=1e-5)
    again = TrainedOperator.load(output)
    assert torch.equal(again.predict(fields), operator.predict(fields))
    assert (again.grid, again.inputs, again.target, again.family) == (
        Grid((15, 15)),
        ("coefficient",),
        "u",
        "darcy-smooth",
    )
    for text in ("darcy-smooth", "Small, 1,", "15 x 15 vertex-centred, dirichlet", "relative l2"):
        assert text in str(again)
    assert [value.name for value in output.parent.iterdir()] == ["d.sciml"]
    assert checkpoint.load(output, kind="operator").history is not None


@pytest.mark.parametrize("options", [{}, {"validation": 0.2, "loss": "l2"}])
def test_an_interrupted_training_gives_the_same_bits(darcy: xr.Dataset, tmp_path: Path, options: Any) -> None:
    straight = train(darcy, tmp_path / "a.sciml", **options)
    output = tmp_path / "b.sciml"
    for _ in range(3):
        train(darcy, output, fit={**FAST, "time_limit_s": 1e-6}, **options)
    assert resume_path(output).exists()
    assert not output.exists()
    done = train(darcy, output, **options)
    for name, value in straight.network.state_dict().items():
        assert torch.equal(done.network.state_dict()[name], value), name
    assert not resume_path(output).exists()


def test_only_the_same_training_is_continued(darcy: xr.Dataset, tmp_path: Path) -> None:
    output = tmp_path / "m.sciml"
    train(darcy, output, validation=6, fit={**FAST, "time_limit_s": 1e-6})
    with pytest.raises(InputError, match=r"the data of digest \w+, now it is \w+.*--restart"):
        train(darcy.assign(u=darcy["u"] * 1.001), output, validation=6)
    with pytest.raises(InputError, match="the loss h1, now it is l2"):
        train(darcy, output, validation=6, loss="l2")
    with pytest.raises(InputError, match=r"the network class Small, .*width 7"):
        train(darcy, output, validation=6, network={**SMALL, "width": 7})
    with pytest.raises(InputError, match="the scaling"):
        train(darcy, output, validation=6, scaling=("raw", "raw"))
    with pytest.raises(InputError, match="samples"):
        train(darcy, output, validation=7)
    train(darcy, output, validation=7, resume=False)


def test_a_store_larger_than_memory_gives_the_same_samples(
    darcy: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "BLOCK", 4 * 2 * 225 * 7)
    whole = Samples.of(darcy)
    rows = whole.rows(np.arange(0, 40, 3))
    before = whole.survey(rows)
    memory = next(iter(whole.source(rows).batches(40)))
    monkeypatch.setattr(sampling, "MEMORY", 0)
    lazy = Samples.of(darcy.chunk(sample=5))
    assert lazy.survey(rows).digest == before.digest
    streamed = next(iter(lazy.source(rows).batches(40)))
    for name in ("coefficient", "truth"):
        assert torch.equal(memory[name], streamed[name])
    operator = train(darcy.chunk(sample=5), tmp_path / "m.sciml", validation=4)
    assert operator.about["errors"]["relative_h1"] > 0


def test_moments_in_blocks_are_those_of_the_whole() -> None:
    values = np.random.default_rng(5).normal(3, 2, (37, 4, 5))
    values[:, 0, 0] = 1.5
    moments = FieldMoments((4, 5))
    for block in np.split(values, [1, 9, 30]):
        moments.add(block)
    scalar, point, scale = (moments.standard(how) for how in ("scalar", "pointwise", "scale"))
    assert [float(scalar.mean), float(scalar.scale)] == pytest.approx([values.mean(), values.std(ddof=1)])
    assert np.allclose(point.mean, values.mean(0))
    assert np.allclose(point.scale[1:], values.std(0, ddof=1)[1:])
    assert float(scale.scale) == pytest.approx(np.sqrt((values**2).mean()))
    field = torch.from_numpy(values[:3]).float()
    for value in (scalar, point, scale, moments.standard("raw")):
        assert torch.allclose(value.decode(value.encode(field)), field, rtol=1e-5)
    assert float(point.encode(field)[:, 0, 0].abs().max()) == 0
    with pytest.raises(InputError, match="point by point on"):
        point.check((8, 8), "u")


def test_dirichlet_fields_are_only_scaled_and_the_published_recipe_is_followed(
    darcy: xr.Dataset, tmp_path: Path
) -> None:
    ours = train(darcy, tmp_path / "a.sciml")
    assert ours.normalisation.ways() == {"inputs": {"coefficient": "scalar"}, "target": "scale"}
    theirs = training._recipe("darcy-smooth")
    assert (theirs.loss, theirs.scaling) == ("h1-truncated", ("pointwise", "pointwise"))
    assert (theirs.fit["epochs"], theirs.fit["learning_rate"], theirs.fit["div_factor"]) == (500, 5e-4, 2.0)
    assert theirs.network is not None
    assert theirs.network["class"] == "PublishedMgNO"
    rough = training._recipe("darcy-rough")
    assert (rough.loss, rough.scaling) == ("h1-truncated", ("raw", "scalar"))
    fit = {name: value for name, value in FAST.items() if name != "epochs"} | {"epochs": 1}
    same = train(darcy, tmp_path / "b.sciml", published="darcy-rough", fit=fit, network=SMALL)
    assert (same.about["published"], same.about["loss"]) == ("darcy-rough", "h1-truncated")
    assert same.normalisation.ways() == {"inputs": {"coefficient": "raw"}, "target": "scalar"}


@pytest.mark.parametrize("loss", ["h1", "residual"])
def test_a_network_that_takes_the_system(darcy: xr.Dataset, tmp_path: Path, loss: Any) -> None:
    longer = {**FAST, "epochs": 4, "learning_rate": 0.05}
    operator = train(
        darcy, tmp_path / "a.sciml", network={"class": "Jacobi"}, loss=loss, validation=4, fit=longer
    )
    first = training.build({"class": "Jacobi"})
    assert (operator.network.damping > first.damping).all()  # an error this smooth wants longer steps
    fields = {"coefficient": torch.from_numpy(darcy["coefficient"].values[:2]).double()}
    twice = operator.to("cpu", torch.float64).predict(
        {**fields, "source": torch.full((2, 15, 15), 2.0).double()}
    )
    assert torch.allclose(twice, 2 * operator.to("cpu", torch.float64).predict(fields))


def test_reduced_precision_reaches_neither_the_loss_nor_multigrid(darcy: xr.Dataset, tmp_path: Path) -> None:
    half = {**FAST, "precision": "bfloat16"}
    fields = {"coefficient": torch.from_numpy(darcy["coefficient"].values[:2])}
    for network, loss in (("Small", "residual"), ("HierarchyNet", "residual"), ("HierarchyNet", "h1")):
        operator = train(
            darcy, tmp_path / "a.sciml", network={"class": network}, loss=loss, fit=half, resume=False
        )
        prediction = operator.predict(fields)
        assert prediction.dtype == torch.float32
        assert prediction.isfinite().all()


def test_every_step_of_a_series_is_learned(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    series = np.cumsum(generator.normal(size=(6, 4, 8, 8)), 1).astype(np.float32)
    data = xr.Dataset({"w": (("sample", "time", "y", "x"), series)}, {"time": [0.0, 0.5, 1.0, 1.5]})
    given_grid = {"target": "w", "boundary": "periodic", "centring": "cell"}
    for given in (data, data.chunk(sample=2)):
        pairs = Samples.of(given, **given_grid)
        assert (len(pairs), pairs.samples, pairs.inputs, pairs.spacing) == (18, 6, ("w",), 0.5)
        batch = next(iter(pairs.source(pairs.rows([1, 4])).batches(99)))
        assert np.array_equal(batch["w"], series[[1, 4], :-1].reshape(6, 8, 8))
        assert np.array_equal(batch["truth"], series[[1, 4], 1:].reshape(6, 8, 8))
    operator = train(data, tmp_path / "a.sciml", validation=2, **given_grid)
    assert operator.steps
    assert operator.about["time_step"] == 0.5
    assert operator.predict({"w": torch.from_numpy(series[:, 0])}).shape == (6, 8, 8)
    forced = data.assign(force=(("sample", "y", "x"), series[:, 0]))
    assert Samples.of(forced, inputs=["force"], **given_grid).inputs == ("w", "force")
    with pytest.raises(InputError, match="equal steps"):
        Samples.of(data.assign_coords(time=[0, 1, 2, 4]), **given_grid)


def bad(data: xr.Dataset, name: str, value: float) -> xr.Dataset:
    out = data.copy(deep=True)
    out[name].values[3, 2, 1] = value
    return out


def test_invalid_data_are_an_error_before_anything_is_written(darcy: xr.Dataset, tmp_path: Path) -> None:
    plain = darcy.drop_attrs()
    transposed = darcy.rename(sample="number")
    given_grid = {"boundary": "dirichlet", "centring": "vertex"}
    for data, options, match in [
        (bad(darcy, "u", np.nan), {}, r"u of sample 3 is nan at \(y, x\) = \(2, 1\)"),
        (bad(darcy, "coefficient", np.inf), {}, "coefficient of sample 3 is inf"),
        (bad(darcy, "coefficient", -1.0), {}, "coefficient of sample 3 is -1 .*positive"),
        (darcy.assign(u=darcy["u"] * 0), {}, "u of sample 0 is zero everywhere"),
        (transposed, {}, r"has the dims \('number', 'y', 'x'\): give \(sample, y, x\)"),
        (plain, {}, "--boundary and --centring"),
        (darcy.isel(x=slice(0, 12)), {}, "15 x 15 .*its fields have 15 x 12"),
        (darcy, {"inputs": ["permeability"]}, "no 'permeability': they have coefficient, u"),
        (darcy, {"target": "pressure"}, "no 'pressure'"),
        (plain.drop_vars("coefficient"), given_grid, "no 'coefficient', the default input"),
        (darcy, {"validation": 40}, "leaves 0 to train on"),
        (darcy, {"validation": 1.5}, "a whole number of samples"),
        (darcy, {"validation": darcy.isel(x=slice(0, 12))}, "15 x 12"),
        (darcy, {"loss": "h2"}, "loss='h2': give one of h1, l2"),
        (darcy, {"published": "darcy"}, "give one of darcy-smooth"),
        (darcy, {"network": {"class": "UNet"}}, "'UNet'"),
        (darcy, {"fit": {"lr": 3}}, r"\[fit\] .*learning_rate"),
        (darcy, {"fit": {"device": "tpu9"}}, "tpu9"),
        (darcy, {"scaling": ("unit", "raw")}, "'unit': give one of scalar"),
        (darcy.rename(coefficient="speed"), {"inputs": ["speed"], "loss": "residual"}, "the data has speed"),
        (darcy.rename(coefficient="k"), {"inputs": ["k"], "network": {"class": "Jacobi"}}, "use a network"),
    ]:
        with pytest.raises((InputError, MissingVariable), match=match) as caught:
            train(data, tmp_path / "m.sciml", **options)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    (tmp_path / "thesis.sciml").write_text("precious")
    with pytest.raises(InputError, match="no checkpoint"):
        train(darcy, tmp_path / "thesis.sciml")
    assert (tmp_path / "thesis.sciml").read_text() == "precious"


def test_data_that_an_operator_does_not_accept(darcy: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "m.sciml"
    operator = train(darcy, path, fit={**FAST, "epochs": 1}, scaling=("pointwise", "scale"))
    item = torch.ones(2, 15, 15)
    with pytest.raises(MissingVariable, match="'coefficient' is not there, only source"):
        operator.predict({"source": item})
    with pytest.raises(InputError, match=r"\(sample, y, x\)"):
        operator.predict({"coefficient": item[0]})
    assert operator.predict({"coefficient": torch.ones(2, 31, 31)}).shape == (2, 31, 31)
    operator.network.any_resolution = True  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"point by point on \(15, 15\)"):
        operator.predict({"coefficient": torch.ones(2, 31, 31)})
    with pytest.raises(InputError, match="vertex-centred grid with dirichlet sides, the problem's is cell"):
        operator.predict({"coefficient": item}, Grid((15, 15), "cell"))
    with pytest.raises(InputError, match="neumann"):
        operator.predict({"coefficient": item}, Grid((15, 15), boundary=Boundary.all("neumann")))
    saved = checkpoint.load(path)
    checkpoint.save(tmp_path / "other.sciml", {**saved.config, "kind": "emulator"}, saved.tensors)
    with pytest.raises(InputError, match="kind 'emulator', wanted 'operator'"):
        TrainedOperator.load(tmp_path / "other.sciml")
    config = {**saved.config, "network": {"class": "Small", "width": 9}}
    checkpoint.save(tmp_path / "wide.sciml", config, saved.tensors)
    with pytest.raises(SchemaError, match="weights body"):
        TrainedOperator.load(tmp_path / "wide.sciml")
    lacking = {name: value for name, value in saved.tensors.items() if "normalisation.target" not in name}
    checkpoint.save(tmp_path / "lacking.sciml", saved.config, lacking)
    with pytest.raises(SchemaError, match=r"no normalisation\.target"):
        TrainedOperator.load(tmp_path / "lacking.sciml")


def test_a_network_of_the_system_is_not_trained_on_another_system(darcy: xr.Dataset, tmp_path: Path) -> None:
    own = darcy.assign(u=2 * darcy["u"])
    own.attrs = {key: value for key, value in darcy.attrs.items() if not key.startswith("family")}
    with pytest.raises(
        InputError, match=r"whose solution is 100% from the first truth: add the variable 'source'"
    ):
        train(own, tmp_path / "a.sciml", network={"class": "HierarchyNet"})
    train(
        own.assign(source=2 + 0 * own["u"]),
        tmp_path / "b.sciml",
        network={"class": "HierarchyNet"},
        inputs=["coefficient", "source"],
    )


def test_a_missing_source_is_one(darcy: xr.Dataset) -> None:
    operator = TrainedOperator.load("darcy-any")
    rows = slice(0, 4)
    fields = {"coefficient": torch.from_numpy(darcy["coefficient"].values[rows])}
    truth = torch.from_numpy(darcy["u"].values[rows])
    assert float(relative_l2(operator.predict(fields), truth)) < 0.02
    result = samples_for(operator, darcy)
    assert result.inputs == ("coefficient",)
    elsewhere = darcy.assign_attrs(family_parameters='{"problem": "Darcy", "source": 3.0}')
    with pytest.raises(InputError, match=r"source.*of 3\.0, not 1"):
        samples_for(operator, elsewhere)


@pytest.mark.parametrize("form", [{"hypercomplex": 3}, {"binary": "sign"}])
def test_hypercomplex_and_binary_weights_are_saved_dense(
    darcy: xr.Dataset, tmp_path: Path, form: dict[str, Any]
) -> None:
    output = tmp_path / "d.sciml"
    operator = train(darcy, output, validation=8, network={**SMALL, **form})
    again = TrainedOperator.load(output)
    fields = {"coefficient": torch.from_numpy(darcy["coefficient"].values[operator.about["held_out"]])}
    truth = torch.from_numpy(darcy["u"].values[operator.about["held_out"]])
    assert torch.equal(again.predict(fields), operator.predict(fields))
    error = relative_l2(operator.predict(fields), truth)  # that of the hardened network
    assert float(error) == pytest.approx(operator.about["errors"]["relative_l2"], rel=1e-5)
    weight = again.network.state_dict()["body.2.weight"].flatten(1)
    if "binary" in form:
        assert torch.equal(weight.abs(), weight[:, :1].abs().expand_as(weight))
    else:
        assert operator.about["free_parameters"] < operator.parameters
    assert "1 binary (sign)" in str(again) or "1 hypercomplex (3 terms), " in str(again)


def test_skewed_positive_inputs_are_scaled_by_their_logarithm(tmp_path: Path) -> None:
    data = generate("darcy-lognormal", 8, 7, seed=17).compute()
    lines: list[str] = []

    class Listed(Quiet):
        def say(self, message: str) -> None:
            lines.append(message)

    operator = train(data, tmp_path / "l.sciml", progress=Listed())
    assert operator.normalisation.ways() == {"inputs": {"coefficient": "log"}, "target": "scale"}
    assert "coefficient is scaled by its logarithm" in lines[0]
    standard = TrainedOperator.load(tmp_path / "l.sciml").normalisation.inputs["coefficient"]
    logs = np.log(data.coefficient.values.astype(float))
    assert float(standard.mean) == pytest.approx(logs.mean(), rel=1e-5)
    assert float(standard.scale) == pytest.approx(logs.std(ddof=1), rel=1e-5)
    field = torch.tensor([[0.1, 3.0]])
    torch.testing.assert_close(standard.decode(standard.encode(field)), field)
    wrong = torch.from_numpy(data.coefficient.values[:1] - 100)
    with pytest.raises(InputError, match="takes its logarithm: give positive values"):
        operator.predict({"coefficient": wrong})
    with pytest.raises(InputError, match="takes its logarithm"):
        Neural(operator).predict(data.assign(coefficient=data.coefficient - 100))
    plain = train(data, tmp_path / "p.sciml", scaling=("scalar", "scale"))
    assert plain.normalisation.ways()["inputs"] == {"coefficient": "scalar"}
    # Two phases are as skewed in their logarithms.
    phases = generate("darcy-rough", 8, 7, seed=17).compute()
    assert train(phases, tmp_path / "t.sciml").normalisation.ways()["inputs"] == {"coefficient": "scalar"}


def test_the_skewness_of_blocks_is_that_of_all_values() -> None:
    values = np.random.default_rng(17).gamma(0.7, size=1000)
    moments = ValueMoments()
    for block in np.split(values, [10, 400, 401]):
        moments.add(block)
    assert moments.skewness == pytest.approx(float(scipy.stats.skew(values)))
    assert moments.spread == pytest.approx(values.std(ddof=1))
