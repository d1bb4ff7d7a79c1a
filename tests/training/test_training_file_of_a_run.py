"""The file of a run: what a call that goes on from it may have otherwise, and what it is told of a file that is none."""

import pytest
from fits import Line, quick

from tinyreg.training import Callback, EarlyStopping, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def run(path, epochs, **settings):
    return quick(epochs=epochs, checkpoint=path, rng=0, **settings)


def test_a_file_that_holds_no_run_is_named_in_one_line(tmp_path):
    path = tmp_path / "a\nrun.safetensors"
    save(path, x=1, y=2)
    with pytest.raises(ValueError, match=r"^fit: .*a\\nrun\.safetensors holds x, y, but no run that fit can go on with"):
        run(path, 1)


class Scaled(Line):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return super().forward(x) * self.scale


class Lower(Callback):
    """Halves an attribute of the model, as a schedule halves a rate."""

    def on_epoch_end(self, run):
        run.model.scale = run.model.scale / 2


def test_a_setting_that_was_changed_on_the_way_is_compared_with_what_it_began_as(path, capsys):
    run(path, 2, model=Scaled(1.0), callbacks=[Lower()])
    model, history = run(path, 3, model=Scaled(1), callbacks=[Lower()])  # 1 is 1.0
    assert (len(history), model.scale) == (3, 0.125)


def test_with_the_settings_of_the_call_what_is_new_in_it_begins_as_it_is(path):
    run(path, 2)
    early = EarlyStopping("loss", patience=1, min_delta=100.0)
    _, history = run(path, 5, callbacks=[early], resume="call")
    assert len(history) == 4  # the third is the best so far, and the fourth no better
    assert early.best_epoch == 3
    run(other := path.with_name("other"), 2)
    with pytest.raises(ValueError, match="lacks callback 0 EarlyStopping"):
        run(other, 5, callbacks=[EarlyStopping("loss")])


def test_a_file_without_settings_gets_those_of_the_call_that_goes_on(path):
    run(path, 2)
    state = load(path)
    del state["settings"]
    save(path, **state)
    run(path, 3, lr=0.2)
    with pytest.raises(ValueError, match="lr: 0.2 there, 0.4 here"):
        run(path, 4, lr=0.4)
