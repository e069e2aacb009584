"""The first day of a user with the wheel, own texts and no clone, command by command."""

import importlib.metadata
import json
import os
import random
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from tests.test_packaging import (
    find_own_wheel,
    install,
    make_environment,
    run_command,
    skip_without,
)

CLASSES = {
    "weather": "rain sun cloud storm wind snow fog hail thunder frost".split(),
    "food": "bread soup cheese apple pasta rice cake bean salad butter".split(),
}
COMMON = "the a of and we saw today some much little there was".split()
README = Path(__file__).parents[1] / "README.md"
# Words that a user would stop at. Our messages carry [charlm E...] or [charlm W...].
TROUBLE = re.compile(r"Traceback|\[charlm |Warning|✘")
SMALL = (
    "--corpora.pretrain.min_words 0 --pretraining.max_epochs 3 --pretraining.batcher.size 300 "
    "--charlm.eval_frequency 5 --pretraining.optimizer.learn_rate.warmup_steps 5"
)
# Without a factor on the learning rate, runs with and without weights differ by the weights alone.
SHORT = (
    "--training.max_steps 12 --training.eval_frequency 6 --verbose "
    "--initialize.after_init.learn_rate_scale 1"
)
PREDICTED = ["the rain and the storm today", "we saw cheese and bread"]
PREDICT = """
import json, sys
import spacy, spacy_charlm
nlp = spacy.load(sys.argv[1])
cats = [doc.cats for doc in nlp.pipe(sys.argv[2:])]
print(json.dumps([cats, spacy_charlm.__file__, spacy_charlm.__version__]))
"""


class User:
    """Types commands in a folder of his own."""

    def __init__(self, folder):
        self.folder = folder
        self.wheel = find_own_wheel(folder)
        self.python = make_environment(folder / "venv", [f"{self.wheel}[plots]", "build"])
        self.other = make_environment(folder / "other", [self.wheel])
        self.write_data()

    def write_data(self):
        rng = random.Random(0)

        def write(label):
            return " ".join(rng.choices(CLASSES[label], k=3) + rng.choices(COMMON, k=6))

        nlp = spacy.blank("en")
        for name, n_texts in (("train", 60), ("dev", 40)):
            docs = DocBin()
            for label in rng.choices(list(CLASSES), k=n_texts):
                doc = nlp.make_doc(write(label))
                doc.cats = {other: float(other == label) for other in CLASSES}
                docs.add(doc)
            docs.to_disk(self.folder / f"{name}.spacy")
        for name, n_texts in (("text", 200), ("dev_text", 40)):
            lines = [write(label) for label in rng.choices(list(CLASSES), k=n_texts)]
            (self.folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
        rows = []
        for words in (*CLASSES.values(), COMMON):
            center = [rng.gauss(0, 1) for _ in range(20)]
            for word in words:
                rows.append(" ".join([word, *(f"{x + rng.gauss(0, 0.3):.4f}" for x in center)]))
        (self.folder / "vectors.txt").write_text("\n".join(rows) + "\n", encoding="utf8")

    def run(self, command):
        """Run a command as it stands in the README; return what it prints."""
        words = shlex.split(command)
        assert words[0] == "python", command
        env = {name: x for name, x in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONUTF8": "1"}
        run = subprocess.run(
            [self.python, *words[1:]],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf8",
            timeout=600,
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}"
        found = TROUBLE.search(run.stdout)
        assert not found, f"{command}: {found}\n{run.stdout}"
        return run.stdout


def read_commands():
    """The commands of "Your own data": init, pretrain and train."""
    text = README.read_text(encoding="utf8").partition("## Your own data")[2].partition("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line.strip() for b in blocks for line in b.replace("\\\n", " ").strip().splitlines()]


def write_config(user, config, optimize):
    """Make the config: from scratch, or out of one that spaCy writes."""
    if optimize is None:
        user.run(read_commands()[0].replace("config.cfg", config))
        return
    theirs = f"{optimize}-theirs.cfg"
    user.run(f"python -m spacy init config {theirs} --pipeline textcat --optimize {optimize}")
    command = f"python -m spacy charlm init {config} --from {theirs}"
    printed = " ".join(user.run(command).split())
    assert "Put CharCNN into [components.tok2vec.model.embed]" in printed
    # The config for accuracy names vectors to download; the command says how to do without them.
    if optimize == "accuracy":
        (options,) = re.findall(r"To do without them add: ((?:--[\w.]+ \w+ ?)+)", printed)
        user.run(f"{command} --force {options}")


def read_table(log):
    return [line.split() for line in log.splitlines() if re.match(r" *\d+ +\d+ +\d+\.\d\d ", line)]


@pytest.mark.slow
def test_new_user_gets_from_texts_to_a_package(tmp_path):
    skip_without("build", "pip")
    user = User(tmp_path)
    _, pretrain, train = read_commands()
    for name in ("scratch", "efficiency", "accuracy"):
        config = f"{name}.cfg"
        write_config(user, config, None if name == "scratch" else name)
        files = {
            "config.cfg": config,
            f"{config} pretrain": f"{config} {name}/pretrain",
            "pretrain/model-best.bin": f"{name}/pretrain/model-best.bin",
            "--output training": f"--output {name}/training",
            "DEV_TEXT": "dev_text.txt",
            " TEXT": " text.txt",
            "VECTORS": "vectors.txt",
        }
        steps = [pretrain, train]
        for old, new in files.items():
            steps = [step.replace(old, new) for step in steps]
        printed = user.run(f"{steps[0]} {SMALL}")
        assert re.search(r"✔ [\d,]+ words in 1\d updates", printed), printed
        log = user.run(f"{steps[1]} {SHORT}")
        loaded = r"Loaded weights pretrained on \d+ words"
        assert re.search(loaded, log) and f"{name}/pretrain/model-best.bin" in log, log
        if name == "scratch":
            start = re.sub(r"--paths.init_weights \S+", "", steps[1])
            plain = user.run(f"{start.replace('/training', '/random')} {SHORT}")
            assert "Loaded weights" not in plain
            assert len(read_table(log)) == len(read_table(plain)) >= 3, log
            assert read_table(log) != read_table(plain), "the weights change nothing"
        folder = f"{name}/training/model-last"
        scores = user.run(f"python -m spacy evaluate {folder} dev.spacy")
        assert re.search(r"TEXTCAT \(macro F\) +\d", scores), scores
        (tmp_path / name / "packages").mkdir()
        options = f"--name {name} --build wheel"
        printed = user.run(f"python -m spacy package {folder} {name}/packages {options}")
        assert "spacy-charlm>=" in printed
        (wheel,) = (tmp_path / name / "packages").rglob("*.whl")
        install(user.other, [wheel])
        here = predict(user.python, folder, tmp_path)
        there = predict(user.other, f"en_{name}", tmp_path)
        for one, other in zip(here, there):
            assert one == pytest.approx(other, abs=1e-4)
        assert here[0]["food"] != here[1]["food"]


def predict(python, pipeline, folder):
    args = [python, "-W", "error::UserWarning", "-c", PREDICT, pipeline, *PREDICTED]
    cats, origin, version = json.loads(run_command(args, cwd=folder))
    assert Path(origin).resolve().is_relative_to(Path(python).parents[1].resolve())
    assert version == importlib.metadata.version("spacy-charlm")
    return cats
