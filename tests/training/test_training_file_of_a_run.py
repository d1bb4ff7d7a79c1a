"""The file of a run: what a call that goes on from it may have otherwise, and what it is told of a file that is none."""

import pytest
from fits import Line, quick

import tinyreg as tr
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


class StopAt(Callback):
    """Stops at an epoch, and counts in an attribute that is no state."""

    def __init__(self, epoch):
        self.epoch, self.calls = epoch, 0

    def on_epoch_end(self, run):
        self.calls += 1
        run.stop = run.epoch == self.epoch


def test_a_run_that_a_callback_stopped_stays_so_for_one_as_it_began_and_for_one_as_it_ended(path):
    stop = StopAt(2)
    for callback in (stop, StopAt(2), stop):
        _, history = run(path, 5, callbacks=[callback])
        assert (len(history), history.ended) == (2, "stopped by StopAt after epoch 2 of 5")
    _, history = run(path, 5, callbacks=[StopAt(4)])
    assert len(history) == 4


def test_a_model_that_fit_leaves_as_the_last_epoch_did_is_in_the_file_once(path):
    run(path, 2)
    assert "model after the last epoch" not in load(path)
    run(other := path.with_name("other"), 3, lr=0.0, callbacks=[EarlyStopping("loss")])
    assert "model after the last epoch" not in load(other)  # the best weights are the last


class ByHand(Callback):
    """Lowers the rate itself, once."""

    def on_epoch_end(self, run):
        if run.epoch == 1:
            run.optimizer.param_groups[0]["lr"] *= 0.1


class Noisy(Line):
    def __init__(self, schedule_of_noise):
        super().__init__()
        self.schedule_of_noise = schedule_of_noise


def scheduled(path, epochs, model=None, lr=1.0, gamma=0.5, **settings):
    model = model or Line()
    optimizer = tr.optim.SGD(model.parameters(), lr=lr)
    schedule = tr.optim.StepLR(optimizer, step_size=2, gamma=gamma)
    settings = {"optimizer": optimizer, "schedule": schedule, "checkpoint": path, **settings}
    return quick(model, epochs=epochs, rng=0, **settings)[1]["lr"]


def test_a_rate_that_was_lowered_by_hand_under_a_schedule_is_what_the_run_goes_on_with(path):
    expected = scheduled(None, 5, callbacks=[ByHand()])
    for resume, before, after in (("error", Line, Line), ("call", lambda: Noisy("none"), lambda: Noisy("much"))):
        file = path.with_name(resume)
        scheduled(file, 3, before(), callbacks=[ByHand()])
        assert scheduled(file, 5, after(), callbacks=[ByHand()], resume=resume) == expected


def test_another_rate_and_another_setting_of_the_call_are_both_taken(path):
    scheduled(path, 3)
    assert scheduled(path, 5, lr=10.0, batch_size=5, resume="call") == [1.0, 1.0, 0.5, 5.0, 2.5]


class Halving:
    """A schedule of one's own, with what `fit` asks of one."""

    def __init__(self, optimizer):
        self.optimizer, self.done = optimizer, 0

    def step(self):
        self.done += 1
        self.optimizer.param_groups[0]["lr"] *= 0.5

    def state_dict(self):
        return self.done

    def load_state_dict(self, state):
        self.done = state


class Named(Halving):
    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.done = state["done"]


@pytest.mark.parametrize("own", [Halving, Named])
def test_a_run_with_a_schedule_of_ones_own_goes_on_also_with_another_rate(path, own):
    def halved(epochs, lr=1.0, resume="error"):
        model = Line()
        optimizer = tr.optim.SGD(model.parameters(), lr=lr)
        settings = {"schedule": own(optimizer), "checkpoint": path, "resume": resume}
        return quick(model, epochs=epochs, optimizer=optimizer, **settings)[1]["lr"]

    halved(2)
    assert halved(3) == [1.0, 0.5, 0.25]
    assert halved(4, lr=10.0, resume="call") == [1.0, 0.5, 0.25, 10.0]


def test_another_gamma_counts_from_the_rate_that_the_run_began_with(path):
    scheduled(path, 3)
    assert scheduled(path, 5, lr=0.5, gamma=0.1, resume="call") == pytest.approx([1.0, 1.0, 0.5, 0.1, 0.01])


def test_code_that_differs_is_refused_with_the_settings_of_the_file_whatever_else_differs(path):
    run(path, 2)
    with pytest.raises(ValueError, match=r"\n  loss: mse there, mae here\n  try the same here") as caught:
        run(path, 3, batch_size=5, loss=tr.losses.mae, resume="file")
    assert "batch_size" not in str(caught.value)


class Count(Callback):
    """Whose state is a number."""

    def __init__(self):
        self.epochs = 0

    def on_epoch_end(self, run):
        self.epochs += 1

    def state_dict(self):
        return self.epochs

    def load_state_dict(self, state):
        self.epochs = state


def test_the_state_of_a_callback_may_be_any_tree(path):
    run(path, 2, callbacks=[Count()])
    count = Count()
    run(path, 5, callbacks=[count])
    assert count.epochs == 5


@pytest.mark.parametrize("which", ["model", "model after the last epoch"])
def test_a_file_in_which_one_weight_is_none_holds_no_run(path, which, float64):
    def trained():
        return quick(tr.nn.Linear(3, 2), epochs=2, checkpoint=path)

    trained()
    state = load(path)
    state[which] = {**state["model"], "bias": 3.0}
    save(path, **state)
    with pytest.raises(ValueError, match="but no run that fit can go on with"):
        trained()


def test_a_model_of_which_one_weight_alone_is_put_back_is_in_the_file_as_it_is_left(path, float64):
    model = tr.nn.Linear(3, 2, rng=0)
    model.weight.requires_grad = False
    optimizer = tr.optim.SGD([model.bias], lr=100.0)  # so that the first epoch is the best
    run(path, 3, model=model, optimizer=optimizer, callbacks=[EarlyStopping("loss")])
    state = load(path)
    last = state["model after the last epoch"]
    assert state["model"]["weight"].tolist() == last["weight"].tolist()
    assert state["model"]["bias"].tolist() == model.bias.tolist() != last["bias"].tolist()


class Noise(Line):
    """With two generators of its own."""

    def __init__(self):
        super().__init__()
        self.one, self.other = tr.Generator(1), tr.Generator(2)

    def forward(self, x):
        return super().forward(x) + self.one.normal() * self.other.normal()


def test_every_generator_of_a_model_goes_on_by_the_name_of_its_attribute(path):
    whole, _ = quick(Noise(), epochs=4, rng=0)
    run(path, 2, model=Noise())
    assert {"rng", "default rng", "rng of one", "rng of other"} <= load(path).keys()
    resumed, _ = run(path, 4, model=Noise())
    assert resumed.weight.tolist() == whole.weight.tolist()
    inside = tr.nn.Sequential(Noise())
    run(other := path.with_name("other"), 1, model=inside)
    assert {"rng of 0.one", "rng of 0.other"} <= load(other).keys()


def test_a_header_that_is_longer_than_any_is_refused_before_it_is_read(path):
    with path.open("wb") as file:
        file.write((150_000_000).to_bytes(8, "little"))
        file.truncate(200_000_000)  # without a block of the disk
    with pytest.raises(ValueError, match="its beginning says that 150,000,000 of them are its header"):
        load(path)
