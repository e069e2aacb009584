"""What `spacy package` writes down, and whether it works on another machine."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import spacy
from spacy.cli.package import get_third_party_dependencies
from spacy.util import load_config
from thinc.api import get_current_ops, set_current_ops

ROOT = Path(__file__).parents[1]
VERSION = importlib.metadata.version("spacy-charlm")
TEXT = "Nobody likes the rain of Leeds!"
EMBED = {
    "@architectures": "spacy-charlm.CharCNN.v1",
    "width": 16,
    "filters": [8, 8],
    "ngram_rows": 50,
}
PLAIN_EMBED = {
    "@architectures": "spacy.MultiHashEmbed.v2",
    "width": 16,
    "attrs": ["NORM"],
    "rows": [100],
    "include_static_vectors": False,
}
POOLING = {
    "@architectures": "spacy.TextCatReduce.v1",
    "exclusive_classes": True,
    "use_reduce_first": False,
    "use_reduce_last": False,
    "use_reduce_max": False,
    "use_reduce_mean": True,
}
LOADER = {
    "@callbacks": "spacy-charlm.load_weights.v1",
    "path": "/no/such/machine/model-last.bin",
    "component": "tok2vec",
    "layer": "",
}
PREDICT = """
import json, sys
import spacy, spacy_charlm
doc = spacy.load(sys.argv[1])(sys.argv[2])
print(json.dumps([doc.cats, doc.tensor.tolist(), spacy_charlm.__file__]))
"""


@pytest.fixture(autouse=True)
def _keep_ops():
    ops = get_current_ops()
    yield
    set_current_ops(ops)


def _make_config(embed=EMBED, use_blas=True, loader=LOADER):
    config = load_config(ROOT / "configs" / "train" / "textcat.cfg", interpolate=False)
    config["components"]["tok2vec"]["model"]["embed"] = dict(embed)
    config["components"]["tok2vec"]["model"]["encode"]["depth"] = 1
    # spaCy's own, so that each part of ours is asked for on its own account
    listener = config["components"]["textcat"]["model"]["tok2vec"]
    config["components"]["textcat"]["model"] = {**POOLING, "tok2vec": listener}
    config["initialize"]["after_init"] = None
    if not use_blas:
        config["nlp"]["before_creation"] = None
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.get_pipe("textcat").add_label("good")
    nlp.get_pipe("textcat").add_label("bad")
    nlp.initialize()
    nlp.config["initialize"]["after_init"] = dict(loader)
    return nlp


def run_command(args, **kwargs):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(args, capture_output=True, text=True, env=env, timeout=900, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_packaging_import_package_is_listed():
    # `spacy package` finds the distribution of an import package in this file and nowhere else
    distribution = importlib.metadata.distribution("spacy-charlm")
    assert distribution.read_text("top_level.txt").split() == ["spacy_charlm"]


@pytest.mark.parametrize(
    ("embed", "use_blas"), [(EMBED, True), (EMBED, False), (PLAIN_EMBED, True)]
)
def test_packaging_pipeline_asks_for_us(embed, use_blas):
    requirements = get_third_party_dependencies(_make_config(embed, use_blas).config)
    assert [row for row in requirements if row.startswith("spacy-charlm")] == requirements
    assert requirements[0].startswith(f"spacy-charlm>={VERSION},<")


def test_packaging_pipeline_without_us_loads_without_us(tmp_path):
    nlp = _make_config(PLAIN_EMBED, use_blas=False)
    # The loader ran in training: it is neither asked for nor looked up.
    assert get_third_party_dependencies(nlp.config) == []
    nlp.config["initialize"]["after_init"]["@callbacks"] = "no-such-package.load_weights.v1"
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded(TEXT).cats == nlp(TEXT).cats


def test_packaging_pipeline_loads_where_its_weights_are_missing(tmp_path):
    nlp = _make_config()
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.config["initialize"]["after_init"] == LOADER
    assert loaded(TEXT).cats == nlp(TEXT).cats


@pytest.mark.slow
def test_packaging_wheels_work_in_a_fresh_environment(tmp_path):
    skip_without("build", "pip")
    nlp = _make_config()
    nlp.to_disk(tmp_path / "pipeline")
    expected = nlp(TEXT)

    output = tmp_path / "packages"
    output.mkdir()
    args = ["package", "pipeline", "packages", "--build", "wheel"]
    run_command([sys.executable, "-m", "spacy", *args], cwd=tmp_path)
    wheel = next(output.rglob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = archive.read(name).decode("utf8")
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert any(line.startswith("Requires-Dist: spacy-charlm") for line in required), required

    python = make_environment(tmp_path / "venv", [find_own_wheel(tmp_path), wheel])
    printed = run_command([python, "-c", PREDICT, "en_pipeline", TEXT], cwd=tmp_path)
    cats, tensor, origin = json.loads(printed)
    assert Path(origin).resolve().is_relative_to((tmp_path / "venv").resolve())
    assert cats == pytest.approx(expected.cats, abs=1e-5)
    assert tensor == pytest.approx(expected.tensor, abs=1e-4)


@pytest.mark.slow
def test_packaging_own_wheel_is_complete(tmp_path):
    skip_without("build")
    with zipfile.ZipFile(find_own_wheel(tmp_path)) as archive:
        names = archive.namelist()
        info = f"spacy_charlm-{VERSION}.dist-info"
        assert {name.split("/")[0] for name in names} == {"spacy_charlm", info}
        assert "spacy_charlm/py.typed" in names
        assert any(name.startswith(info) and name.endswith("/LICENSE") for name in names)
        assert archive.read(f"{info}/top_level.txt").decode().split() == ["spacy_charlm"]
        metadata = archive.read(f"{info}/METADATA").decode("utf8")
    assert "\nRequires-Python: >=3.10" in metadata
    assert "MIT" in metadata


def skip_without(*packages):
    # An import would also find a folder `build` that setuptools has left here.
    for package in packages:
        if not any(importlib.metadata.distributions(name=package)):
            pytest.skip(f"needs the package {package} (the extra dev)")


def find_own_wheel(tmp_path):
    """The wheel that .ci/run built, or one of the source tree."""
    if os.environ.get("CHARLM_WHEEL"):
        return Path(os.environ["CHARLM_WHEEL"])
    if not (ROOT / "spacy_charlm").is_dir():
        pytest.skip("needs the source tree, or CHARLM_WHEEL")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "spacy_charlm", source / "spacy_charlm")
    run_command([sys.executable, "-m", "build", "--wheel", str(source)], cwd=tmp_path)
    return next((source / "dist").glob("*.whl"))


def make_environment(folder, wheels):
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install(str(python), wheels)
    return str(python)


def install(python, packages):
    pip = [sys.executable, "-m", "pip", "--python", python]
    run_command([*pip, "install", *map(str, packages)])
    run_command([*pip, "check"])
