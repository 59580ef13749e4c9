"""A history as a table, a figure and JSON."""

from __future__ import annotations

import io
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import SchemaError
from sciml.train import Epoch, History, Lines, Live, Quiet
from sciml.train.progress import Notebook, Report, automatic

numbers = st.floats(allow_nan=False, allow_infinity=False)
losses = st.fixed_dictionaries({"loss": numbers}, optional={"RTHCUTEN": numbers})
epochs = st.builds(
    Epoch, st.integers(1, 99), st.integers(), numbers, losses, losses | st.just({}), losses, numbers, numbers
)


def history(count: int = 4) -> History:
    made = History(stopped="patience")
    for number in range(1, count + 1):
        row = {"loss": 2.0 / number, "RTHCUTEN": 1.0 / number}
        made = made.add(Epoch(number, 7 * number, 1e-3, row, {"loss": abs(number - 2.5) + number / 9}))
    return made


@settings(deadline=None)
@given(st.lists(epochs, max_size=3))
def test_round_trip(rows):
    made = History()
    for row in rows:
        made = made.add(row)
    assert History.from_json(made.to_json()) == made


def test_invalid_histories():
    with pytest.raises(SchemaError, match=r"schema 99.*upgrade"):
        History.from_json('{"schema": 99}')
    with pytest.raises(SchemaError, match="the training history has schema 0, this version reads schema 1"):
        History.from_json('{"schema": 0}')
    with pytest.raises(SchemaError, match="not a training history"):
        History.from_json("[]")
    with pytest.raises(SchemaError, match="not a training history"):
        History.from_json("{")


def test_the_table_names_the_best_epoch():
    made = history()
    assert made.best == 2
    assert made.best_value == pytest.approx(0.5 + 2 / 9)
    assert made.losses(validation=True) == made.monitored()
    assert "best epoch 2" in repr(made)
    assert "patience" in made.summary(1)
    assert History().summary(3).startswith("History: 0 epochs")


def test_the_figure():
    figure = history().plot()
    assert len(figure.axes) == 3
    assert {line.get_label() for line in figure.axes[1].lines} == {"RTHCUTEN"}
    page = history()._repr_html_()
    assert page.startswith('<img alt="losses" src="data:image/png;base64,')
    assert "best epoch 2" in page
    assert History()._repr_html_().startswith("<pre>")


def test_lines_in_a_log():
    log = io.StringIO()
    lines = Lines(every_s=1e9, stream=log)
    assert not lines.due()
    assert Lines(every_s=0.0).due()
    lines.step(Report(2, 9, 3, 50, {"loss": 0.5, "RTHCUTEN": 0.25}, 1e-3, 1234.5))
    lines.epoch(history().epochs[1], best=True)
    first, second = log.getvalue().splitlines()
    assert first == "epoch 2/9 step 3/50: loss 0.5, RTHCUTEN 0.25; rate 1.00e-03, 1,234 samples/s"
    assert second.endswith("validation loss 0.7222; 0.0 s (best)")


def test_live_and_quiet(capsys, monkeypatch):
    live = Live(every_s=0.0)
    assert live.due()
    live.step(Report(1, 2, 3, 4, {"loss": 0.5}, 1e-3, 10.0))
    live.epoch(history().epochs[0], best=False)
    live.close()
    assert "epoch 1: training loss 2" in capsys.readouterr().err
    quiet = automatic(quiet=True)
    assert isinstance(quiet, Quiet)
    assert isinstance(automatic(), Lines)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(automatic(), Live)


def test_a_notebook_shows_one_line(monkeypatch):
    shown: list[str] = []

    class Handle:
        def update(self, html):
            shown.append(html)

    def display(html, display_id):
        shown.append(html)
        return Handle()

    module = types.SimpleNamespace(HTML=lambda text: text, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=object, display=module))
    monkeypatch.setitem(sys.modules, "ipykernel", types.SimpleNamespace())
    display = automatic()
    assert isinstance(display, Notebook)
    assert display.due()
    display.say("3 < 5")
    display.step(Report(1, 4, 3, 6, {"loss": 0.5}, 1e-3, 10.0))
    display.epoch(history().epochs[1], best=True)
    display.close()
    assert not display.due()
    assert ["3 &lt; 5" in shown[0], 'value="0.125"' in shown[1], 'value="0.500"' in shown[2]] == [True] * 3
    assert "epoch 2: training loss 1" in shown[2]
