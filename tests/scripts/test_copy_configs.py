"""The scripts that write copies of configs: what they write can be loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.util import load_config, load_model_from_config

ROOT = Path(__file__).parents[2]
if not (ROOT / "scripts").is_dir():
    pytest.skip("scripts/ is not beside tests/", allow_module_level=True)


def run(script, *arguments):
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def load(path, **overrides):
    return load_model_from_config(load_config(path, overrides=overrides), auto_fill=True)


def test_add_lmao_puts_the_component_behind_the_tok2vec(tmp_path):
    run("add_lmao.py", tmp_path, "configs/train/ner.cfg", "configs/train/parser.cfg")
    for name, task in (("ner", ["ner"]), ("parser", ["tagger", "parser"])):
        paths = {"paths.raw_text": "raw.txt", "paths.target_vectors": "vectors.txt"}
        nlp = load(tmp_path / f"{name}.cfg", **paths)
        assert nlp.pipe_names == ["tok2vec", "charlm_lmao", *task]
        before = load_config(ROOT / "configs" / "train" / f"{name}.cfg")
        after = load_config(tmp_path / f"{name}.cfg")
        assert after["components"]["tok2vec"] == before["components"]["tok2vec"]
        assert after["training"]["optimizer"] == before["training"]["optimizer"]


def test_add_typos_sets_the_augmenter_alone(tmp_path):
    run("add_typos.py", tmp_path, "configs/train/ner.cfg", "--rate", 0.3)
    before, after = load_config(ROOT / "configs/train/ner.cfg"), load_config(tmp_path / "ner.cfg")
    augmenter = after["corpora"]["train"]["augmenter"]
    assert augmenter["@augmenters"] == "spacy-charlm.typos.v1" and augmenter["rate"] == 0.3
    assert callable(spacy.util.registry.resolve({"augmenter": augmenter})["augmenter"])
    after["corpora"]["train"]["augmenter"] = None
    assert after == before


@pytest.mark.parametrize(
    "embed, rows", [("MultiHashEmbed", "500,100,200,200"), ("CharacterEmbed", "500")]
)
def test_swap_embed_keeps_the_encoder(embed, rows, tmp_path):
    run("swap_embed.py", tmp_path, "configs/train/ner.cfg", "--embed", embed, "--rows", rows)
    before, after = (
        load_config(ROOT / "configs/train/ner.cfg"),
        load_config(tmp_path / "train" / "ner.cfg"),
    )
    tok2vec = after["components"]["tok2vec"]["model"]
    assert tok2vec["embed"]["@architectures"].startswith(f"spacy.{embed}.")
    assert tok2vec["encode"] == before["components"]["tok2vec"]["model"]["encode"]
    assert load(tmp_path / "train" / "ner.cfg").pipe_names == ["tok2vec", "ner"]
