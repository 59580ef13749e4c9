"""The page is a single file, readable without figures, and has the scores of the evaluation."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sciml.columns import convection_columns
from sciml.errors import InputError, SciMLError
from sciml.plot import png
from sciml.verify.emulator.evaluate import evaluate
from sciml.verify.emulator.figures import fullest_frame, pictures, portrait
from sciml.verify.emulator.page import render_page, write_page
from sciml.wrf import open_wrfout
from tests.paths import SAMPLE_OFFLINE, SAMPLE_WRFOUT

VOID = {"meta", "img", "br", "link", "hr"}


class Outline(HTMLParser):
    """Collects tags and their attributes, and fails for tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def every(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def evaluation():
    output = open_wrfout(SAMPLE_WRFOUT)
    truth, stored = convection_columns(output, SAMPLE_OFFLINE).load(), convection_columns(output).load()
    rng = np.random.default_rng(71)
    stated = np.clip((truth["KIND"] > 0) * 0.9 + rng.normal(0.05, 0.05, truth.sizes["column"]), 0, 1)
    stored = stored.assign(P_TRIGGER=stated, NOVELTY=("column", rng.random(truth.sizes["column"]) * 1.2))
    return evaluate(truth, stored, model="stored <b>tendencies</b>", data="the sample")


@pytest.fixture(scope="module")
def page(evaluation):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml.verify.emulator.page.DOTS", 40)
        return render_page([evaluation], title="A & B")


def test_the_page_is_complete_html(page):
    outline = Outline(page)
    assert not outline.every("script")
    assert not outline.every("link")
    sources = [attrs["src"] for attrs in outline.every("img")]
    assert len(sources) >= 8
    for source in sources:
        kind, data = source.split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data)[:4] == b"\x89PNG"
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_the_page_is_accessible(page):
    outline = Outline(page)
    assert outline.every("html")[0]["lang"] == "en"
    assert all(len(attrs["alt"]) > 10 for attrs in outline.every("img"))
    assert len(outline.every("caption")) == len(outline.every("table")) >= 4
    assert all(attrs.get("scope") in ("row", "col") for attrs in outline.every("th"))
    targets = {attrs["href"][1:] for attrs in outline.every("a")}
    ids = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    assert targets <= ids


def test_scores_are_on_the_page(page, evaluation):
    assert "<h1>A &amp; B</h1>" in page
    assert "stored &lt;b&gt;tendencies&lt;/b&gt;" in page
    for name, scores in evaluation.scores["outputs"].items():
        assert name in page
        if scores["r2"] is not None:
            assert f"{scores['r2']:.3f}" in page
    for word in ("Novelty", "Budgets", "enthalpy", "momentum", "vapour negative", "SSE/SST"):
        assert word in page


def test_several_models_are_compared(evaluation, monkeypatch):
    monkeypatch.setattr("sciml.verify.emulator.page.pictures", lambda _: [])
    page = render_page([evaluation, evaluation])
    Outline(page)
    assert "Comparison of models" in page
    assert page.count("<td>0.953</td>") >= 2


def test_the_map_has_the_columns_at_their_positions(evaluation):
    time, maps = fullest_frame(evaluation)
    assert maps["PRATEC"].shape == (2, 24, 24)
    columns = evaluation.columns
    here = columns.isel(
        column=np.flatnonzero(columns["Time"].values == np.datetime64(time.replace(" ", "T")))
    )
    for i in (0, 100, 575):
        column = here.isel(column=i)
        y, x = int(column["south_north"]), int(column["west_east"])
        assert maps["HEATING"][0, y, x] == column["HEATING"].sel(source="truth")


def test_scattered_columns_have_no_map(evaluation):
    import dataclasses

    few = dataclasses.replace(evaluation, columns=evaluation.columns.isel(column=slice(None, None, 53)))
    assert fullest_frame(few) is None
    assert "maps" not in [picture.name for picture in pictures(few)]
    assert png(portrait(few), 40)


def test_the_portrait(evaluation):
    figure = portrait(evaluation)
    assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == [
        "rain rate, MSKF",
        "rain rate, emulator",
        "heating, deep",
        "heating, shallow",
    ]
    assert png(figure, 40)


def test_no_file_is_left_after_an_error(evaluation, tmp_path, monkeypatch):
    from sciml.verify.emulator import page

    monkeypatch.setattr(page, "render_page", lambda *_, **__: "<html></html>")
    (tmp_path / "file").write_text("")
    with pytest.raises(SciMLError, match="cannot write"):
        write_page(tmp_path / "file" / "page.html", [evaluation])
    assert sorted(x.name for x in tmp_path.iterdir()) == ["file"]
    assert write_page(tmp_path / "page.html", [evaluation]).read_text() == "<html></html>"


def test_a_page_without_evaluations_is_an_error():
    with pytest.raises(InputError, match="at least one"):
        render_page([])
