"""Studies: with a stand-in for spaCy's commands, and those of the project."""

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
import spacy
import srsly
from spacy.cli.init_config import init_config
from spacy.language import DEFAULT_CONFIG_PRETRAIN_PATH
from spacy.util import load_config, load_model_from_config
from thinc.api import Config
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.cli.study import Display
from spacy_charlm.report.table import make_table
from spacy_charlm.runs import study as study_module
from spacy_charlm.runs.run import CURVE, FINISHED, LOG, SCORES, STARTED
from spacy_charlm.runs.study import Processes, read_study, run_study

pytestmark = pytest.mark.usefixtures("keep_ops")
ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "configs" / "studies").glob("*.yml"))
CONFIG = """
[paths]
init_weights = null
train = null
cache = null

[system]
seed = 0

[nlp]
lang = "en"
pipeline = []

[training]
max_steps = 5
seed = ${system.seed}
dropout = 0.1
"""
# Writes what a command would write, and its arguments to the log.
FAKE = """
import json, pathlib, sys, time
print("arguments", *sys.argv[1:], flush=True)
args = [arg for arg in sys.argv[1:] if arg != "charlm"]
config = pathlib.Path(args[1])
text = config.read_text() if config.is_file() else ""
if "dropout = 0.5" in text:
    sys.exit("the reason")
if "max_steps = 77" in text and not pathlib.Path("go").exists():
    time.sleep(60)
if args[0] == "evaluate":
    output = pathlib.Path(args[args.index("--output") + 1])
    scores = {"textcat": {"cats_macro_f": 0.5, "cats_micro_f": 0.75}, "ner": {"ents_f": 0.6}}
    output.write_text(json.dumps(scores))
elif args[0] == "train":
    out = config.parent / "model-last"
    out.mkdir(parents=True, exist_ok=True)
    (out / "meta.json").write_text(json.dumps({"performance": {"cats_micro_f": 0.25}}))
else:
    (config.parent / "model-last.bin").write_bytes(b"weights")
"""
STUDY = """
title: A title
vars: {seeds: "0,1", steps: 3}
blocks:
  wide:
    training.batcher: {"@batchers": spacy.batch_by_words.v1, size: 7}
pretrain:
  config: pretrain.cfg
  rows:
    some/words:
train:
  textcat:
    config: train.cfg
    seeds: ${seeds}
    settings: {training.max_steps: "${steps}"}
    rows:
      plain/none:
      plain/words: {from: some/words}
      wide/none: {blocks: wide, settings: {training.dropout: 0.3}}
"""


@pytest.fixture
def folder(tmp_path, stand_in):
    (tmp_path / "train.cfg").write_text(CONFIG)
    pretraining = load_config(DEFAULT_CONFIG_PRETRAIN_PATH, interpolate=False)
    Config().from_str(CONFIG).merge(pretraining).to_disk(tmp_path / "pretrain.cfg")
    (tmp_path / "study.yml").write_text(STUDY)
    return stand_in(FAKE)


def run(text=STUDY, jobs=2, **settings):
    Path("study.yml").write_text(text)
    study = read_study(Path("study.yml"), Path("out"), **settings)
    return run_study(study, jobs=jobs)


def logs():
    paths = [path for path in sorted(Path("out").rglob("log.txt")) if "replaced" not in path.parts]
    return {path.parent.relative_to("out").as_posix(): path.read_text() for path in paths}


def trials():
    with Path("out/trials.csv").open() as file_:
        return {(line["row"], line["seed"]): line for line in csv.DictReader(file_)}


def without_stand_in():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def start_study(folder):
    """Start the command, and return it when its three runs have begun."""
    code = "from spacy.cli import setup_cli; setup_cli()"
    # The stand-in is for the children only.
    start = f"import os; os.environ['PYTHONPATH'] = {str(folder / 'fake')!r}; {code}"
    arguments = ["charlm", "study", "study.yml", str(folder / "out"), "--jobs", "2"]
    command = [sys.executable, "-c", start, *arguments]
    process = subprocess.Popen(
        command, env=without_stand_in(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(logs()) < 3:
        time.sleep(0.1)
    assert len(logs()) >= 3
    return process, command


def list_processes():
    return subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout


def test_study_runs_rows_times_seeds(folder):
    study = run()
    assert not study.errors
    rows = ("plain/none", "plain/words", "wide/none")
    expected = {f"textcat/{row}/seed-{seed}" for row in rows for seed in (0, 1)}
    assert set(logs()) == expected | {"pretrain/some/words/seed-0"}
    for name, log in logs().items():
        config = load_config(Path("out") / name / "config.cfg")
        assert config["system"]["seed"] == int(name[-1])
        if name.startswith("textcat"):
            assert f"train out/{name}/config.cfg --output out/{name}" in log
            assert config["training"]["max_steps"] == 3
        weights = "out/pretrain/some/words/seed-0/model-last.bin" if "plain/words" in name else None
        assert config["paths"]["init_weights"] == weights
        assert ("batcher" in config["training"]) == ("wide" in name)
        assert config["training"]["dropout"] == (0.3 if "wide" in name else 0.1)


def test_study_skips_what_is_complete(folder):
    run()
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("log.txt")}
    study = run()
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [score.values for score in study.scores()] == [(0.25, 0.25)] * 3
    # A file that the runs read has changed.
    (folder / "train.cfg").write_text(CONFIG + "max_epochs = 2\n")
    run()
    changed = [path for path, old in times.items() if path.stat().st_mtime_ns != old]
    assert len(changed) == 6 and all("textcat" in path.parts for path in changed)
    # The former results are still there, once.
    (folder / "train.cfg").write_text(CONFIG + "max_epochs = 3\n")
    run()
    kept = load_config("out/replaced/textcat/plain/words/seed-1/config.cfg")
    assert kept["training"]["max_epochs"] == 2
    assert load_config("out/textcat/plain/words/seed-1/config.cfg")["training"]["max_epochs"] == 3


def test_study_repeats_runs_whose_weights_have_changed(folder):
    run()
    weights = Path("out/pretrain/some/words/seed-0/model-last.bin")
    time.sleep(0.01)
    weights.write_bytes(b"others")
    before = logs()
    run(only=["plain/*"])
    assert logs() == before
    paths = [Path("out/textcat") / name / "seed-0" for name in ("plain/words", "plain/none")]
    files = [srsly.read_json(path / FINISHED)["files"] for path in paths]
    title = "pretrain: some/words (seed 0)"
    assert title in files[0] and title not in files[1]


def test_study_may_be_moved_and_named_like_a_setting(folder):
    """Neither the path of its folder nor other strings of the configs count as inputs."""
    Path("study.yml").write_text(STUDY)
    study = run_study(read_study(Path("study.yml"), Path("en")), jobs=2)
    assert len(study.scores()) == 3
    times = {path: path.stat().st_mtime_ns for path in Path("en").rglob("log.txt")}
    again = run_study(read_study(Path("study.yml"), folder / "en"), jobs=2)
    assert {path: path.stat().st_mtime_ns for path in times} == times and again.scores()
    Path("en").rename("moved")
    moved = run_study(read_study(Path("study.yml"), Path("moved")), jobs=2)
    assert len(moved.scores()) == 3 and not moved.seconds


def test_study_repeats_runs_whose_record_is_damaged(folder):
    run()
    path = Path("out/textcat/plain/none/seed-0")
    (path / FINISHED).write_text('{"comm')
    (path / STARTED).write_text("")
    study = run()
    assert set(study.seconds) == {"textcat: plain/none (seed 0)"} and not study.errors


@pytest.mark.skipif(sys.platform != "linux", reason="processes die with their parent on Linux")
def test_study_that_is_killed_leaves_no_process(folder):
    Path("study.yml").write_text(STUDY.replace('"${steps}"', "77"))
    process, _ = start_study(folder)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and str(folder / "out") in list_processes():
        time.sleep(0.1)
    assert str(folder / "out") not in list_processes()


def test_study_goes_on_where_a_run_fails(folder):
    study = run(STUDY.replace("training.dropout: 0.3", "training.dropout: 0.5"))
    assert set(study.errors) == {f"textcat: wide/none (seed {seed})" for seed in (0, 1)}
    assert all("the reason" in error for error in study.errors.values())
    assert not Path("out/textcat/wide/none/seed-0", FINISHED).exists()
    assert {score.source for score in study.scores()} == {"plain/none", "plain/words"}
    lines = trials()
    assert len(lines) == 7
    assert lines["wide/none", "1"]["error"] == "the reason"
    assert lines["plain/none", "0"]["cats_micro_f"] == "0.25"
    assert float(lines["plain/none", "0"]["seconds"]) > 0


def test_study_skips_rows_whose_pretraining_fails(folder):
    text = STUDY.replace("    some/words:", "    some/words: {settings: {training.dropout: 0.5}}")
    study = run(text)
    assert {title for title, error in study.errors.items() if "failed" in error} == {
        f"textcat: plain/words (seed {seed})" for seed in (0, 1)
    }
    assert not Path("out/textcat/plain/words/seed-0/log.txt").exists()


def test_study_scores_pipelines_on_other_data(folder):
    (folder / "eval.spacy").write_bytes(b"first")
    text = STUDY.replace("    seeds: ${seeds}", "    seeds: ${seeds}\n    evaluate: eval.spacy")
    study = run(text)
    scores = {(s.source, s.metric): s for s in study.scores()}
    assert scores["plain/none", "cats_micro_f"].values == (0.75, 0.75)
    path = Path("out/textcat/plain/none/seed-0")
    trained, scored = path / FINISHED, path / SCORES
    before = trained.stat().st_mtime_ns, scored.stat().st_mtime_ns
    run(text)
    assert (trained.stat().st_mtime_ns, scored.stat().st_mtime_ns) == before
    (folder / "eval.spacy").write_bytes(b"second file")
    run(text)  # scored again, not trained again
    assert trained.stat().st_mtime_ns == before[0] and scored.stat().st_mtime_ns != before[1]


def test_study_scores_several_sets_as_columns(folder, capsys):
    for name in ("clean", "typos", "extra"):
        (folder / f"{name}.spacy").write_bytes(name.encode())
    sets = "{clean texts: clean.spacy, typos: typos.spacy}\n    metric: cats_micro_f"
    text = STUDY.replace("    seeds: ${seeds}", f"    seeds: ${{seeds}}\n    evaluate: {sets}")
    text += "  ner: {config: train.cfg, metric: ents_f, evaluate: {new: extra.spacy}, rows: "
    text += "{wide/none: }}"
    other = {"source": "other", "metric": "cats_micro_f", "values": [0.5]}
    other["conditions"] = {"set": "typos"}
    srsly.write_json("other.json", [other, {**other, "metric": "cats_macro_f"}])
    study = run(text + "\nextra: other.json")
    assert study.columns == "set"
    table = make_table(study.scores(), study.columns)
    assert table.header == ["", "clean texts", "typos", "new"]
    assert table.rows[0] == ["plain/none", "75.0 ± 0.0", "75.0 ± 0.0", "-"]
    assert table.rows[2][-1] == "60.0" and table.rows[3] == ["other", "-", "50.0", "-"]
    assert "clean texts, typos: textcat accuracy; new: entities F" in table.caption
    assert trials()["plain/none", "0"]["typos: cats_micro_f"] == "0.75"
    (folder / "typos.spacy").write_bytes(b"others")
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("metrics-*.json")}
    run(text)  # only this set is scored again
    changed = {path.name for path, old in before.items() if path.stat().st_mtime_ns != old}
    assert changed == {"metrics-typos.json"}


def test_study_resumes_charlm_pretrain(folder):
    text = STUDY.replace("pretrain:\n", 'pretrain:\n  command: "charlm pretrain"\n')
    run(text, only=["some/*"])
    path = Path("out/pretrain/some/words/seed-0")
    assert "--resume" not in (path / "log.txt").read_text()
    (path / FINISHED).unlink()
    (path / "checkpoints").mkdir()
    (path / "checkpoints" / "step-000000010.safetensors").write_bytes(b"")
    run(text, only=["some/*"])
    assert "--resume" in (path / "log.txt").read_text().splitlines()[-1]
    # Another config begins again.
    (path / FINISHED).unlink()
    srsly.write_json(path / STARTED, {})
    run(text, only=["some/*"])
    assert "--resume" not in (path / "log.txt").read_text()


def test_study_runs_chosen_rows_and_what_they_start_from(folder):
    run(only=["plain/words"], variables={"seeds": 1})
    assert set(logs()) == {"pretrain/some/words/seed-0", "textcat/plain/words/seed-1"}


def test_study_reports_complete_rows_that_are_not_chosen(folder):
    first = run()
    before = trials()
    assert len(before) == 7
    second = run(only=["plain/none"])
    assert [r.title for r in second.chosen] == [f"textcat: plain/none (seed {n})" for n in (0, 1)]
    assert second.scores() == first.scores()
    assert trials() == before  # with the seconds of the first call
    Path("out/textcat/wide/none/seed-1", FINISHED).unlink()
    run(only=["plain/none"])
    assert set(before) - set(trials()) == {("wide/none", "1")}


def test_study_starts_from_the_pretraining_with_the_same_seed(folder):
    run(STUDY.replace("  config: pretrain.cfg", "  config: pretrain.cfg\n  seeds: [0, 1]"))
    for seed in (0, 1):
        config = load_config(f"out/textcat/plain/words/seed-{seed}/config.cfg")
        expected = f"out/pretrain/some/words/seed-{seed}/model-last.bin"
        assert config["paths"]["init_weights"] == expected


def test_study_keeps_results_when_files_are_missing(folder):
    (folder / "docs.spacy").write_bytes(b"docs")
    text = STUDY.replace("training.dropout: 0.3", "paths.train: docs.spacy")
    run(text)
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    (folder / "docs.spacy").unlink()
    with pytest.raises(ValueError, match=r"E674.*wide/none \(seed 0\).*train = docs.spacy"):
        run(text)
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before


def test_study_takes_a_cache_that_has_grown_for_the_same(folder):
    (folder / "cache").mkdir()
    text = STUDY.replace("training.dropout: 0.3", "paths.cache: cache")
    run(text)
    before = logs()
    (folder / "cache" / "more.data").write_bytes(b"rows")
    run(text)
    assert logs() == before


@pytest.mark.parametrize(
    "command, name, content, expected",
    [
        ("train", CURVE, "", 0.0),
        ("train", CURVE, '{"step":1,"epoch":0}\n{"step":3,"epo', 0.6),
        ("pretrain", LOG, "  #      # Words\n  0    10   1.5   1.5   9\n", 0.0),
        ("pretrain", LOG, "  0    10   1.5   1.5   9\n  1    20   1.5   1.5   9\n", 0.5),
        ("charlm pretrain", LOG, "Pretraining: 12.5%, 9 words\nPretraining: 25.0%, ", 0.25),
    ],
)
def test_run_tells_the_share_that_is_done(command, name, content, expected, folder):
    study = read_study(Path("study.yml"), Path("out"), variables={"steps": 5})
    some = next(r for r in study.runs if r.command == command.split()[-1])
    some.command = command
    if command != "train":
        some.config["pretraining"]["max_epochs"] = 2
    assert some.share_done() == 0.0
    some.folder.mkdir(parents=True)
    (some.folder / name).write_text(content)
    assert some.share_done() == pytest.approx(expected)


def test_study_estimates_the_time_left_from_runs_of_the_same_task(folder):
    study = read_study(Path("study.yml"), Path("out"))
    pretrain, *trainings = study.runs

    def estimate(waiting, active, ages, jobs):
        queue = SimpleNamespace(study=study, waiting=waiting, active=active, jobs=jobs)
        queue.elapsed = {run.title: age for run, age in zip(active, ages)}
        return study_module._estimate_left(queue)

    study.seconds[pretrain.title] = 600.0
    assert math.isnan(estimate(trainings, [], [], 2))
    assert math.isnan(estimate(trainings[1:], trainings[:1], [5.0], 2))
    study.seconds[trainings[0].title] = 10.0
    assert estimate(trainings[1:], [], [], 2) == pytest.approx(25.0)
    assert estimate(trainings[2:], trainings[1:2], [4.0], 1) == pytest.approx(46.0)
    # slower than expected
    assert estimate([], trainings[1:2], [40.0], 1) == 0.0


def test_study_kills_processes_that_do_not_end(tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "GRACE", 0.1)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=1)"
    )
    processes = Processes(1)
    codes = []
    command = [sys.executable, "-c", f"{code}; time.sleep(60)"]
    thread = Thread(target=lambda: codes.append(processes(command, tmp_path / "log")))
    thread.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (
        (tmp_path / "log").is_file() and (tmp_path / "log").read_text()
    ):
        time.sleep(0.05)
    processes.end()
    thread.join(30)
    assert codes == [-signal.SIGTERM]  # it was killed, but because the study was ended


def test_study_draws_lines_that_fit_the_terminal(folder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "30")
    study = read_study(Path("study.yml"), Path("out"))
    Display(study).show(study.runs[:2], {}, 61.0)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3 and all(len(line) < 30 for line in lines)


def test_study_ends_its_processes(folder):
    Path("study.yml").write_text(STUDY.replace('"${steps}"', "77"))
    process, command = start_study(folder)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and b"continues where it was" in output
    assert str(folder / "out") not in list_processes()
    Path("go").write_text("")
    again = subprocess.run(
        command, env=without_stand_in(), capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "A title" in again.stdout and Path("out/table.md").is_file()


def test_study_command_ends_with_1_where_a_run_failed(folder):
    Path("study.yml").write_text(STUDY.replace("training.dropout: 0.3", "training.dropout: 0.5"))
    result = CliRunner().invoke(app, ["study", "study.yml", "out", "--set", "seeds=0"])
    assert result.exit_code == 1
    assert "the reason" in result.stdout and "25.0" in result.stdout
    again = CliRunner().invoke(app, ["study", "study.yml", "out", "--set", "seeds=0"])
    assert again.exit_code == 1 and "3 of 4 runs are complete already" in again.stdout
    assert "3 of 4 runs: out" in again.stdout


def test_study_validates_every_config_before_it_runs_any(folder):
    with pytest.raises(ValueError, match=r"E675.*wide/none \(seed 0\).*dropout: .*valid number"):
        run(STUDY.replace("training.dropout: 0.3", 'training.dropout: "much"'))
    assert logs() == {}


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("title:", "titel:", "E670.*the study.*'titel'"),
        ("seeds: ${seeds}", "seedz: 3", "E670.*textcat.*'seedz'"),
        ("from: some/words", "from: words", "E670.*plain/words, from.*some/words.*'words'"),
        ("blocks: wide", "blocks: wild", "E670.*wide/none, blocks.*'wild'"),
        ("    config: train.cfg", "    config: other.cfg", "E672.*plain/none.*other.cfg"),
        ("pretrain:\n", "pretrain:\n  command: walk\n", "E673.*train, pretrain.*'walk'"),
        ("${seeds}", "nothing.yml, evaluate: x.spacy", "E677.*valid YAML"),
        ("seeds: ${seeds}", "evaluate: x.spacy", "E674.*evaluate = x.spacy"),
        ("training.dropout: 0.3", "training.dropuot: 0.3", "E676.*wide/none.*training.dropuot"),
        ("training.dropout: 0.3", "trainin.dropout: 0.3", "E676.*wide/none.*trainin.dropout"),
        ("spacy.batch_by_words.v1", "spacy.nothing.v1", "E675.*wide/none.*spacy.nothing.v1"),
        ("rows:\n    some/words:", "rows: [some/words]", r"E677.*pretrain, rows.*\['some/words'\]"),
        ('seeds: "0,1"', 'seeds: "0,b"', "E677.*integers.*textcat, seeds.*'0,b'"),
        ('"${steps}"', '"${stepz}"', "E670.*seeds, steps.*'stepz'"),
    ],
)
def test_study_names_what_is_wrong(old, new, message, folder):
    assert old in STUDY
    with pytest.raises(ValueError, match=message):
        run(STUDY.replace(old, new))
    assert logs() == {}


def test_study_names_unknown_variables_and_rows(folder):
    with pytest.raises(ValueError, match="E670.*--set.*seeds, steps.*'sedes'"):
        run(variables={"sedes": 1})
    with pytest.raises(ValueError, match="E671.*nothing"):
        run(only=["nothing"])


@pytest.fixture
def in_root(monkeypatch):
    if not STUDIES:
        pytest.skip("configs/ is not beside tests/")
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_project_are_valid(path, in_root, tmp_path):
    study = read_study(path, tmp_path)
    first = [run for run in study.runs if run.seed == 0]
    assert first and len({run.title for run in study.runs}) == len(study.runs)
    for search in study.searches:
        first.append(search.make_trial(0, search.engine.propose(0, ()), {}))
    for run in first:
        run.validate()


def rows_of(name, tmp_path):
    study = read_study(ROOT / "configs" / "studies" / f"{name}.yml", tmp_path)
    return {f"{run.task}/{run.name}": run for run in study.runs if run.seed == 0}


def build(run, **settings):
    config = run.config.copy()
    for dotted, value in settings.items():
        section, name = dotted.split("__")
        config[section][name] = value
    return load_model_from_config(config, auto_fill=True)


def test_study_both_puts_charlm_lmao_behind_the_tok2vec(in_root, tmp_path):
    run = rows_of("both", tmp_path)["ner/at the same time"]
    nlp = build(run)
    assert nlp.pipe_names == ["tok2vec", "charlm_lmao", "ner"]
    before = load_config("configs/train/ner.cfg", interpolate=False)
    assert run.config["components"]["tok2vec"] == before["components"]["tok2vec"]
    assert run.config["training"]["optimizer"] == before["training"]["optimizer"]


def test_study_robust_sets_the_augmenter_alone(in_root, tmp_path):
    rows = rows_of("robust", tmp_path)
    before = rows["textcat/MultiHashEmbed/none"].config
    after = rows["textcat/MultiHashEmbed/typos"].config.copy()
    augmenter = after["corpora"]["train"]["augmenter"]
    assert augmenter["@augmenters"] == "spacy-charlm.typo_augmenter.v1"
    assert augmenter["typos"]["rate"] == 0.2
    assert callable(spacy.util.registry.resolve({"augmenter": augmenter})["augmenter"])
    after["corpora"]["train"]["augmenter"] = None
    after["training"]["logger"]["output_file"] = before["training"]["logger"]["output_file"]
    assert after == before


@pytest.mark.parametrize("embed", ["MultiHashEmbed", "CharacterEmbed"])
def test_study_robust_ner_keeps_the_encoder(embed, in_root, tmp_path):
    run = rows_of("robust_ner", tmp_path)[f"ner/{embed}/none"]
    before = load_config("configs/train/ner.cfg", interpolate=False)
    tok2vec = run.config["components"]["tok2vec"]["model"]
    assert tok2vec["embed"]["@architectures"].startswith(f"spacy.{embed}.")
    assert tok2vec["encode"] == before["components"]["tok2vec"]["model"]["encode"]
    assert build(run).pipe_names == ["tok2vec", "ner"]


@pytest.mark.parametrize("name", ["both", "names", "robust_ner", "small_text", "targets", "wnut"])
def test_studies_of_wnut_have_the_ner_of_their_figures(name, in_root, tmp_path):
    """spaCy's `ner` as `spacy init config` writes it, but in the rows that say CRF."""
    expected = init_config(lang="en", pipeline=["ner"])["components"]["ner"]
    expected["model"]["tok2vec"]["width"] = "${components.tok2vec.model.embed.width}"
    expected["model"]["tok2vec"]["upstream"] = "*"
    expected["scorer"] = {"@scorers": "spacy.ner_scorer.v1"}
    for title, run in rows_of(name, tmp_path).items():
        if title.startswith("ner/"):
            found = run.config["components"]["ner"]
            if "CRF" in title:
                assert found["factory"] == "charlm_ner"
            else:
                assert found == expected


def test_study_stdlib_finds_names_by_a_crf(in_root, tmp_path):
    rows = {k: v for k, v in rows_of("stdlib", tmp_path).items() if k.startswith("ner/")}
    for run in rows.values():
        assert run.config["components"]["ner"]["factory"] == "charlm_ner"
    assert len(rows) == 2
