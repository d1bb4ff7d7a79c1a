"""What training needs beyond NumPy, where it is missing, and where something else is."""

import importlib

import pytest

import tinyreg as tr


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("safetensors", r"^tr\.training needs safetensors: pip install 'tinyreg\[training\]'$"),
        ("safetensors.numpy", r"^tr\.training needs safetensors"),
        ("other", "^No module named 'other'$"),  # which safetensors itself may need
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, missing, text):
    real = importlib.import_module

    def lacking(name, package=None):
        if name.startswith("safetensors"):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", lacking)
    with pytest.raises(ModuleNotFoundError, match=text) as raised:
        tr.training.save(tmp_path / "run", x=1)
    assert raised.value.name == missing.partition(".")[0]
