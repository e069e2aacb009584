"""`charlm init`: every combination gives a config that spaCy accepts."""

from itertools import product
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import parse_config_overrides
from spacy.cli.init_config import init_config as spacy_init_config
from spacy.schemas import ConfigSchemaPretrain
from spacy.training.pretrain import create_pretraining_model
from spacy.util import load_config, load_model_from_config, registry
from thinc.api import Config
from typer.testing import CliRunner

from spacy_charlm.cli import app
from spacy_charlm.training.init_config import (
    EMBEDS,
    LMFAO,
    OBJECTIVES,
    PRETRAIN,
    SIZES,
    TASKS,
    ConfigOptions,
    find_non_listeners,
    find_paths,
    init_config,
    insert_pretraining,
    next_commands,
)

TRAINED = sorted(set(TASKS) - {PRETRAIN, LMFAO})
LANG = "xx"  # its tokenizer is made in no time
OURS = "spacy-charlm.CharCNN.v1"
SHARED = ("tok2vec", "")
# spaCy pipelines: how they are made, and the component and layer that get the embed layer.
PIPELINES = {
    "shared": (lambda: spacy_init_config(lang=LANG, pipeline=["ner", "textcat"]), SHARED),
    "shared, accuracy": (
        lambda: spacy_init_config(lang=LANG, pipeline=["tagger", "textcat"], optimize="accuracy"),
        SHARED,
    ),
    "shared, spaCy's pretraining": (
        lambda: spacy_init_config(lang=LANG, pipeline=["parser"], pretraining=True),
        SHARED,
    ),
    "shared, HashEmbedCNN": (lambda: blank("tok2vec", "sentencizer"), SHARED),
    "own, tagger": (lambda: blank("tagger"), ("tagger", "tok2vec")),
    "own, textcat": (lambda: blank("textcat"), ("textcat", "tok2vec")),
    "own, ner": (lambda: blank("ner"), SHARED),
    "own, parser": (lambda: blank("sentencizer", "parser"), SHARED),
}


def blank(*names):
    """The config of a pipeline made in Python, where each component has a tok2vec of its own."""
    nlp = spacy.blank(LANG)
    for name in names:
        nlp.add_pipe(name)
    return nlp.config.copy()


def run(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def get_block(config, component, layer):
    model = config["components"][component]["model"]
    return model[layer] if layer else model


def fill_paths(config, **paths):
    """Interpolate with a value for each path: the registry opens none of them."""
    filled = {name: f"{name}.txt" for name in find_paths(config) if name != "misspellings"}
    config = config.copy()
    config["paths"].update({**filled, "vectors": None, "init_tok2vec": None, **paths})
    return config.interpolate()


def check(config):
    """Build what a config describes, as `spacy train` and `spacy pretrain` do."""
    config = fill_paths(config)
    nlp = load_model_from_config(config)
    if config.get("pretraining"):
        settings = registry.resolve(config["pretraining"], schema=ConfigSchemaPretrain)
        assert callable(settings["objective"]) and callable(settings["batcher"])
        assert callable(registry.resolve({"corpus": config["corpora"]["pretrain"]})["corpus"])
    return nlp


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_init_config_every_objective_with_every_loss_and_head(objective):
    losses, heads = OBJECTIVES[objective].losses, OBJECTIVES[objective].heads
    for loss, head in product(losses, heads):
        config = init_config(ConfigOptions(objective=objective, loss=loss, head=head, lang=LANG))
        assert check(config).pipe_names == ["tok2vec"]


@pytest.mark.parametrize("embed, optimize", list(product(EMBEDS, SIZES)))
@pytest.mark.parametrize("task", TRAINED)
def test_init_config_every_task_with_every_embed_layer(task, embed, optimize):
    options = ConfigOptions(task=task, objective="none", embed=embed, optimize=optimize, lang=LANG)
    config = init_config(options)
    nlp = check(config)
    assert nlp.pipe_names == ["tok2vec", *TASKS[task].components]
    assert nlp.get_pipe("tok2vec").model.get_dim("nO") == SIZES[optimize]["width"]
    assert not config["pretraining"]
    again = load_model_from_config(config, auto_fill=True).config
    assert again["components"] == config["components"]  # nothing was left out
    assert again["training"] == config["training"]


@pytest.mark.parametrize("task", TRAINED)
def test_init_config_pretraining_in_the_config_of_a_task(task):
    commands = {}
    for name, flags in {"apart": {}, "at once": {"lmao": True, "typos": True}}.items():
        config = init_config(ConfigOptions(task=task, lang=LANG, **flags))
        names = check(config).pipe_names
        assert ("charlm_lmao" in names) == bool(flags) != bool(config["pretraining"])
        commands[name] = [line.split()[3] for line in next_commands(config, "x.cfg")]
    assert commands == {"apart": ["pretrain", "train"], "at once": ["train"]}


def test_init_config_without_context_hides_no_words():
    for objective in ("words", "denoising", "multi"):
        for task, lmao in (("pretrain", False), ("ner", False), ("ner", True)):
            options = {"objective": objective, "task": task, "lmao": lmao, "lang": LANG}
            config = init_config(ConfigOptions(**options, optimize="speed"))
            check(config)
            block = config["components"]["charlm_lmao"] if lmao else config["pretraining"]
            masking = block["objective"]["masking"]
            assert masking.get("masking", masking)["rate"] == 0.0


def test_init_config_has_the_tokenizer_of_the_language():
    for task in ("pretrain", "ner"):
        config = init_config(ConfigOptions(task=task, lang="zh"))
        assert config["nlp"]["tokenizer"]["@tokenizers"] == "spacy.zh.ChineseTokenizer"
        assert check(config).lang == "zh"


def test_init_config_ner_is_ours():
    block = init_config(ConfigOptions(task="ner", objective="none"))["components"]["ner"]
    assert block["factory"] == "charlm_ner"
    assert block["model"]["@architectures"] == "spacy-charlm.CRF.v1"
    assert block["model"]["tok2vec"]["@architectures"] == "spacy.Tok2VecListener.v1"


def get_table(config, component="tok2vec", layer=""):
    """The table's block, its path, and how often its vectors are hidden."""
    embed = get_block(config, component, layer)["embed"]
    return embed["table"], config["paths"].get("table"), embed["vectors_dropout"]


TABLE = {"@misc": "spacy-charlm.VectorTable.v1", "path": "${paths.table}"}
TABLE |= {"width": 64, "max_words": 0, "fuzzy": True}


@pytest.mark.parametrize("task", [PRETRAIN, *TRAINED])
def test_init_config_with_a_table(task):
    options = {"task": task, "lang": LANG, "objective": "trigram"}
    plain = init_config(ConfigOptions(**options))
    assert get_table(plain) == (None, None, 0.0) and "table" not in plain["paths"]
    config = init_config(ConfigOptions(**options, table="words.txt"))
    expected = ({**TABLE, "fuzzy": False}, 0.5) if task == PRETRAIN else (TABLE, 0.2)
    assert get_table(config) == (expected[0], "words.txt", expected[1])
    embed = check(config).get_pipe("tok2vec").model.get_ref("embed")
    assert any(node.name == "vector_table" for node in embed.walk())
    # Nothing else changes.
    config["components"]["tok2vec"]["model"]["embed"] |= {"table": None, "vectors_dropout": 0.0}
    del config["paths"]["table"]
    assert config == plain


def test_init_config_names_every_path():
    options = [ConfigOptions(objective=objective, lang=LANG) for objective in OBJECTIVES]
    options += [ConfigOptions(task=task, lang=LANG) for task in TASKS]
    for config in map(init_config, options):
        assert set(find_paths(config)) <= set(config["paths"])
        assert config.interpolate()


@pytest.mark.parametrize(
    "options, match",
    [
        ({"task": "x"}, "E540.*`task`.*textcat.*'x'"),
        ({"objective": "x"}, "E540.*trigram"),
        ({"loss": "x"}, "E540.*cosine"),
        ({"head": "x"}, "E540.*linear"),
        ({"embed": "x"}, "E540.*CharCNN"),
        ({"optimize": "x"}, "E540.*speed, efficiency, accuracy"),
        ({"objective": "none"}, "E541.*--task pretrain"),
        ({"task": "ner", "objective": "none", "lmao": True}, "E541"),
        ({"task": "ner", "objective": "none", "loss": "cosine"}, "E541"),
        ({"loss": "cross_entropy"}, "E541.*--loss cosine or"),
        ({"objective": "word_ids", "loss": "cosine"}, "E541.*sampled_softmax"),
        ({"objective": "PretrainVectors", "head": "linear"}, "E541.*--head maxout"),
        ({"objective": "PretrainVectors", "task": "ner", "lmao": True}, "E541.*ours for --lmao"),
        ({"lmao": True}, "E541.*task to train.*--task pretrain"),
        ({"typos": True}, "E541.*denoising"),
        ({"objective": "transformer", "vectors": "x"}, "E541.*--vectors"),
        ({"embed": "MultiHashEmbed", "table": "x"}, "E541.*CharCNN for --table.*MultiHashEmbed"),
    ],
)
def test_init_config_refuses(options, match):
    with pytest.raises(ValueError, match=match):
        init_config(ConfigOptions(**options))


@pytest.mark.parametrize("name", PIPELINES)
def test_insert_pretraining_keeps_the_rest(name):
    make, (component, layer) = PIPELINES[name]
    before = make()
    after, notes = insert_pretraining(before, ConfigOptions())
    block = get_block(after, component, layer)
    assert block["embed"]["@architectures"] == OURS
    assert after["pretraining"]["component"] == component
    assert after["pretraining"]["layer"] == layer
    assert after["initialize"]["after_init"]["component"] == component
    assert any(component in note for note in notes)
    # Everything else is the user's.
    for section in ("training", "corpora", "initialize"):
        for key, value in before[section].items():
            if key not in ("after_init", "pretrain"):
                assert after[section][key] == value
    owner = component if component in before["components"] else before["nlp"]["pipeline"][-1]
    for other in set(before["components"]) - {owner}:
        old, new = (fill_paths(config)["components"][other] for config in (before, after))
        assert new == old
    old = fill_paths(before)["components"][owner]["model"]
    old = old if layer == "" and owner == component else old["tok2vec"]
    encode = fill_paths(after)["components"][component]["model"]
    encode = (encode[layer] if layer else encode)["encode"]
    for key in ("width", "depth", "window_size", "maxout_pieces"):
        assert encode[key] == old.get("encode", old)[key]
    block["embed"]["include_static_vectors"] = False  # there are none here
    nlp = check(after)
    model = create_pretraining_model(
        nlp, {**after["pretraining"], "dropout": 0.1, "objective": lambda vocab, tok2vec: tok2vec}
    )
    vectors = model.predict([nlp.make_doc("two words")])
    assert vectors[0].shape == (2, old.get("encode", old)["width"])


@pytest.mark.parametrize("flags", [{"lmao": True, "typos": True}, {"objective": "none"}], ids=str)
@pytest.mark.parametrize("name", ["shared", "own, textcat", "own, ner"])
def test_insert_pretraining_with_other_options(name, flags):
    make, (component, layer) = PIPELINES[name]
    config, _ = insert_pretraining(make(), ConfigOptions(**flags))
    assert not config.get("pretraining")
    names = check(config).pipe_names
    if "lmao" in flags:
        assert names[names.index(component) + 1] == "charlm_lmao"
        assert config["components"]["charlm_lmao"]["layer"] == layer
        assert config["training"]["before_to_disk"]["@callbacks"] == "spacy-charlm.drop_lmao.v1"
        assert config["corpora"]["train"]["augmenter"]["@augmenters"].startswith("spacy-charlm.")
    else:
        assert "charlm_lmao" not in names


@pytest.mark.parametrize("objective", ["trigram", "none"])
@pytest.mark.parametrize("name", PIPELINES)
def test_insert_pretraining_with_a_table(name, objective):
    make, place = PIPELINES[name]
    options = {"objective": objective, "table": "words.txt"}
    config, notes = insert_pretraining(make(), ConfigOptions(**options))
    assert get_table(config, *place) == (TABLE, "words.txt", 0.2)
    # One source of vectors only: those of the vocab are no longer read.
    (note,) = (note for note in notes if "[paths.table]" in note)
    assert ("in place of" in note) == ("accuracy" in name)
    assert get_block(config, *place)["embed"]["include_static_vectors"] is False
    check(config)
    # Also into an embed layer that is ours already.
    options["table"] = "others.txt"
    again, _ = insert_pretraining(config, ConfigOptions(**options))
    assert get_table(again, *place) == (TABLE, "others.txt", 0.2)


def test_insert_pretraining_keeps_the_users_ner():
    for config in (spacy_init_config(lang=LANG, pipeline=["ner"]), blank("tok2vec", "ner")):
        after, _ = insert_pretraining(config, ConfigOptions())
        assert after["components"]["ner"]["factory"] == "ner"
        architecture = after["components"]["ner"]["model"]["@architectures"]
        assert architecture == "spacy.TransitionBasedParser.v2"


def test_insert_pretraining_swaps_the_embed_layer_for_a_comparison():
    ours = init_config(ConfigOptions(task="ner", objective="none"))
    for embed in EMBEDS:
        config, _ = insert_pretraining(ours, ConfigOptions(objective="none", embed=embed))
        block = config["components"]["tok2vec"]["model"].pop("embed")
        expected = ours.copy()
        expected["components"]["tok2vec"]["model"].pop("embed")
        assert block["@architectures"] == EMBEDS[embed]["@architectures"]
        assert block["width"] == 96
        assert config == expected


def test_insert_pretraining_keeps_the_users_own_settings():
    config = spacy_init_config(lang=LANG, pipeline=["ner"])
    embed = config["components"]["tok2vec"]["model"]["embed"]
    embed["include_static_vectors"] = True
    theirs = {"@callbacks": "theirs.v1"}
    config["initialize"]["after_init"] = theirs
    config["initialize"]["init_tok2vec"] = None
    config["training"]["before_to_disk"] = theirs
    config["nlp"]["before_creation"] = theirs
    config["paths"]["raw_text"] = "mine.txt"
    config["corpora"]["train"]["augmenter"] = {"@augmenters": "theirs.v1"}
    config["components"]["other"] = {"source": "their_pipeline", "replace_listeners": []}
    config["nlp"]["pipeline"].append("other")
    after, notes = insert_pretraining(config, ConfigOptions(typos=True, lmao=True))
    for section, key in (
        ("initialize", "after_init"),
        ("training", "before_to_disk"),
        ("nlp", "before_creation"),
    ):
        assert after[section][key] == theirs
        assert any(f"Kept your [{section}.{key}]" in note for note in notes)
    assert after["corpora"] == config["corpora"]
    assert after["components"]["other"] == config["components"]["other"]
    assert after["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"] is True
    assert after["initialize"]["init_tok2vec"] == "${paths.init_tok2vec}"
    assert after["paths"]["raw_text"] == "mine.txt"
    apart, _ = insert_pretraining(config, ConfigOptions())
    pretrain, train = next_commands(apart, "x.cfg", gpu=True)
    assert "--paths.raw_text" not in pretrain and "--gpu-id 0" in pretrain
    assert "--paths.init_tok2vec pretrain/model-last.bin" in train


@pytest.mark.parametrize("optimize", ["efficiency", "accuracy"])
@pytest.mark.parametrize("task", TRAINED)
def test_insert_pretraining_into_what_spacy_init_config_writes(task, optimize):
    before = spacy_init_config(lang=LANG, pipeline=[task], optimize=optimize)
    after, notes = insert_pretraining(before, ConfigOptions())
    assert find_non_listeners(after) == ("tok2vec", [])
    assert not any("[charlm W" in note for note in notes)
    block = after["components"]["tok2vec"]["model"]
    assert block["embed"]["@architectures"] == OURS
    assert after["initialize"]["after_init"]["component"] == "tok2vec"
    if optimize == "accuracy":
        assert block["embed"]["include_static_vectors"] is True
        (note,) = (note for note in notes if "--initialize.vectors null" in note)
        words = note.partition("add: ")[2].split()
        overrides = parse_config_overrides(words)
        after = Config().from_str(after.to_str(interpolate=False), overrides=overrides)
    nlp = check(after)
    width = nlp.get_pipe("tok2vec").model.get_dim("nO")
    assert width == (96 if optimize == "efficiency" else 256)
    listener = nlp.get_pipe(task).model.get_ref("tok2vec")
    while listener.layers:  # in NER and parser a layer of their own follows
        listener = listener.layers[0]
    assert listener.name == "tok2vec-listener"
    bag = before["components"][task]["model"]
    if "TextCatBOW" in bag["@architectures"]:
        assert after["components"][task]["model"]["linear_model"] == bag
        assert any(f"'{task}' the linear model" in note for note in notes)


def test_insert_pretraining_optimizes_the_tok2vec_that_it_adds():
    before = spacy_init_config(lang=LANG, pipeline=["textcat"])
    for optimize, depth in (("speed", None), ("efficiency", 4), ("accuracy", 8)):
        after, _ = insert_pretraining(before, ConfigOptions(optimize=optimize))
        model = after["components"]["tok2vec"]["model"]
        assert model["encode"].get("depth") == depth
        rate = after["pretraining"]["objective"]["masking"]["rate"]
        assert rate == (0.0 if optimize == "speed" else 0.15)  # nothing says what is hidden
        assert model["embed"]["cache_size"] == (100_000 if optimize == "speed" else 20_000)
        assert check(after).get_pipe("tok2vec").model.get_dim("nO") == SIZES[optimize]["width"]


def test_insert_pretraining_warns_of_a_component_that_does_not_listen():
    config = spacy_init_config(lang=LANG, pipeline=["ner", "textcat"])
    after, notes = insert_pretraining(config, ConfigOptions())
    assert find_non_listeners(after) == ("tok2vec", ["textcat"])
    assert after["components"]["textcat"] == config["components"]["textcat"]
    assert "[charlm W654]" in notes[-1] and "model of textcat, so" in notes[-1]


def test_insert_pretraining_into_a_config_without_vectors():
    config = spacy_init_config(lang=LANG, pipeline=["textcat"], optimize="accuracy")
    config["initialize"]["vectors"] = None
    after, notes = insert_pretraining(config, ConfigOptions())
    assert after["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"] is False
    assert any("include_static_vectors to false" in note for note in notes)
    check(after)


def test_insert_pretraining_with_a_component():
    config = blank("ner", "textcat")
    with pytest.raises(ValueError, match="E543.*ner, textcat"):
        insert_pretraining(config, ConfigOptions())
    after, _ = insert_pretraining(config, ConfigOptions(), component="textcat")
    assert after["components"]["ner"] == config["components"]["ner"]
    assert after["components"]["textcat"]["model"]["tok2vec"]["embed"]["@architectures"] == OURS
    with pytest.raises(ValueError, match="E542.*'x'"):
        insert_pretraining(config, ConfigOptions(), component="x")


def with_sources():
    config = spacy_init_config(lang=LANG, pipeline=["ner"])
    config["components"] = {
        "tok2vec": {"source": "en_core_web_sm"},
        "ner": config["components"]["ner"],
    }
    return config


def with_transformer():
    config = spacy_init_config(lang=LANG, pipeline=["ner"])
    config["nlp"]["pipeline"] = ["transformer", "ner"]
    config["components"]["transformer"] = {"factory": "transformer"}
    return config


def with_other_architecture():
    config = spacy_init_config(lang=LANG, pipeline=["ner"])
    config["components"]["tok2vec"]["model"] = {"@architectures": "theirs.Tok2Vec.v1"}
    return config


def with_shared_and_own():
    """An own tok2vec inside a parser, and the name that it would get taken."""
    config = blank("ner")
    config["components"]["tok2vec"] = {"factory": "sentencizer"}
    return config


def with_lost_variable():
    config = spacy_init_config(lang=LANG, pipeline=["ner"])
    config["nlp"]["batch_size"] = "${components.tok2vec.model.embed.nothing}"
    return config


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: blank("sentencizer"), "E542.*sentencizer.*fill-config"),
        (lambda: Config({"nlp": {"lang": "en", "pipeline": []}}), "E542"),
        (with_sources, "E542.*sourced.*tok2vec"),
        (with_transformer, "E542.*transformer.*without --gpu"),
        (with_other_architecture, "E544.*theirs.Tok2Vec.v1"),
        (with_shared_and_own, "E545.*'ner'"),
        (with_lost_variable, "E546.*embed.nothing"),
    ],
)
def test_insert_pretraining_refuses(make, match):
    with pytest.raises(ValueError, match=match):
        insert_pretraining(make(), ConfigOptions())


def test_init_cli_writes_a_config_with_its_command(tmp_path):
    path = tmp_path / "new" / "ner.cfg"
    result = run(path, "--task", "ner", "--vectors", "glove.txt", "--training.max_steps", 7, "-G")
    assert result.exit_code == 0, result.output
    lines = path.read_text("utf8").splitlines()
    assert lines[0].startswith(f"# python -m spacy charlm init {path.as_posix()} --task ner")
    assert lines[0].endswith("--vectors glove.txt --gpu --training.max_steps 7")
    commands = [line for line in result.output.splitlines() if line.startswith("python")]
    assert [f"# {command}" for command in commands] == lines[3:5]
    assert "glove.txt" not in commands[0] and "--gpu-id 0" in commands[0]
    config = load_config(path, interpolate=False)
    assert config["training"]["max_steps"] == 7
    assert config["paths"]["target_vectors"] == "glove.txt"
    assert check(config).pipe_names == ["tok2vec", "ner"]

    again = run(path)
    assert again.exit_code == 1 and "already exists" in again.output
    forced = run(path, "--task", "tagger", "--force")
    assert forced.exit_code == 0 and "tagger" in load_config(path)["components"]


def test_init_cli_with_a_table(tmp_path):
    path = tmp_path / "ner.cfg"
    result = run(path, "--task", "ner", "--table", "words.txt")
    assert result.exit_code == 0, result.output
    text = path.read_text("utf8")
    assert text.partition("\n")[0].endswith("--task ner --table words.txt")
    assert "# paths.table: word vectors" in text
    assert get_table(load_config(path, interpolate=False)) == (TABLE, "words.txt", 0.2)
    assert run(path, "--again").exit_code == 0 and path.read_text("utf8") == text
    result = run(tmp_path / "new.cfg", "--from", path, "--objective", "none", "--table", "x")
    assert result.exit_code == 0 and "word vectors of [paths.table]." in result.output
    result = run("-", "--table", "words.txt", "--embed", "CharacterEmbed")
    assert result.exit_code == 1 and "E541" in result.output


def test_init_cli_writes_to_stdout():
    result = run("-")
    assert result.exit_code == 0, result.output
    assert "pretraining" in Config().from_str(result.output, interpolate=False)
    assert "Saved" not in result.output


def test_init_cli_from_the_users_config(tmp_path):
    theirs, ours = tmp_path / "theirs.cfg", tmp_path / "ours.cfg"
    blank("ner").to_disk(theirs)
    result = run(ours, "--from", theirs, "--objective", "trigram")
    assert result.exit_code == 0, result.output
    assert "Put CharCNN into" in result.output
    text = ours.read_text("utf8")
    assert f"--from {theirs.as_posix()}" in text.partition("\n")[0]
    assert check(load_config(ours, interpolate=False)).pipe_names == ["tok2vec", "ner"]

    again = run(ours, "--again")
    assert again.exit_code == 0, again.output
    assert ours.read_text("utf8") == text
    for flags in (["--task", "ner"], ["--lang", "de"]):
        result = run("-", "--from", theirs, *flags)
        assert result.exit_code == 1 and "E541" in result.output
    result = run("-", "--component", "ner")
    assert result.exit_code == 1 and "E541" in result.output


def test_init_cli_again_needs_a_command_in_the_first_line(tmp_path):
    path = Path(tmp_path / "theirs.cfg")
    path.write_text("# by hand\n[nlp]\n", encoding="utf8")
    result = run(path, "--again")
    assert result.exit_code == 1 and "E547" in result.output
    result = run(tmp_path, "--again")  # a folder may hold others, too
    assert result.exit_code == 0
    assert path.read_text("utf8").startswith("# by hand")
