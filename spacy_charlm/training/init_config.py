"""Complete configs, assembled from small blocks: the functions behind `charlm init`.

The tables below are the choices of the command. Their blocks say what differs from the defaults;
`_complete` adds the rest. A new target is one entry of `OBJECTIVES`; if it reads a file of its own,
it also gets an entry of `PATHS`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from spacy.util import get_lang_class, load_model_from_config, registry
from thinc.api import Config, use_ops
from thinc.config import ConfigValidationError

from ..errors import Errors
from .schedule import AUTO, SCHEDULE
from .settings import Settings

Block = dict[str, Any]

# The names of [paths], in order: placeholder in the commands to run next ("" for an optional file)
# and note for the header of the config ("" where none is needed).
PATHS: dict[str, tuple[str, str]] = {
    "train": ("TRAIN", ""),
    "dev": ("DEV", ""),
    "raw_text": ("TEXT", ""),
    "dev_text": ("", "texts to evaluate on, for `charlm pretrain`; null for none."),
    "target_vectors": ("VECTORS", ""),
    "cache": ("CACHE", "folder for the vectors; null computes them again in each pass."),
    "transformer": ("", "a name on the Hugging Face hub, or a folder."),
    "parser": ("", "a pipeline such as en_core_web_sm; null if raw_text is a parsed .spacy file."),
    "misspellings": ("", "real ones, a misspelling, a tab and the correct word per line, or null."),
    "head": ("HEAD", "what `charlm pretrain` wrote next to the weights, such as head-best.bin."),
    "init_weights": (
        "WEIGHTS",
        "pretrained weights, such as pretrain/model-last.bin; null starts from random weights.",
    ),
    "document_vectors": (
        "",
        "vectors of words and bigrams, for weights of their own; null for none.",
    ),
    "init_tok2vec": ("WEIGHTS", ""),
    "table": ("", "word vectors for the table of the embed layer; null if the weights bring it."),
    "vectors": ("VECTORS", "static vectors that the embed layer reads as well; null for none."),
}
PATH_DEFAULTS = {"transformer": "distilbert-base-uncased"}
# Words that a pretraining reads at least: see docs/results.md, "Small texts".
MIN_WORDS = 3_000_000
# The order that spaCy saves in, so that a comparison with the user's own config is short.
SECTIONS = (
    "paths",
    "system",
    "nlp",
    "corpora",
    "training",
    "initialize",
    "components",
    "pretraining",
    "charlm",
)


def read_corpus(path: str, limit: int = 0, shuffle: bool = False, seed: Any = 0) -> Block:
    """Make the block of a reader of raw text."""
    return {
        "@readers": "spacy-charlm.TextCorpus.v1",
        "path": f"${{paths.{path}}}",
        "limit": limit,
        "shuffle": shuffle,
        "seed": seed,
    }


# --- embed layer and encoder ---------------------------------------------------------------------

# "efficiency" and "accuracy" have the width and depth of `spacy init config`. "speed" has no
# encoder: at prediction, only the words that the cache lacks are computed.
SIZES: dict[str, Block] = {
    "speed": {"width": 96, "filters": [96, 128], "depth": 0, "cache_size": 100_000},
    "efficiency": {"width": 96, "filters": [96, 128], "depth": 4},
    "accuracy": {"width": 256, "filters": [256, 336], "depth": 8},
}
EMBEDS: dict[str, Block] = {
    "CharCNN": {"@architectures": "spacy-charlm.CharCNN.v1", "filters": []},
    "MultiHashEmbed": {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
        "rows": [5000, 1000, 2500, 2500],
        "include_static_vectors": False,
    },
    "CharacterEmbed": {
        "@architectures": "spacy.CharacterEmbed.v2",
        "rows": 5000,
        "nM": 64,
        "nC": 8,
        "include_static_vectors": False,
        "feature": "LOWER",
    },
}
# Word vectors that the character CNN reads as well. Pretraining may predict the same vectors, so it
# hides them from more tokens, and does not look them up for misspelled words.
TABLE: Block = {
    "@misc": "spacy-charlm.VectorTable.v1",
    "path": "${paths.table}",
    "width": 64,
    "max_words": 0,
}
# With a table, the vocab's vectors are not read.
PRETRAINING_TABLE: Block = {
    "include_static_vectors": False,
    "vectors_dropout": 0.5,
    "table": {**TABLE, "fuzzy": False},
}
TRAINING_TABLE: Block = {
    "include_static_vectors": False,
    "vectors_dropout": 0.2,
    "table": {**TABLE, "fuzzy": True},
}
EMBED_TEXTS = {
    "CharCNN": "the character CNN",
    "MultiHashEmbed": "spaCy's MultiHashEmbed",
    "CharacterEmbed": "spaCy's CharacterEmbed",
}
LISTENER: Block = {
    "@architectures": "spacy.Tok2VecListener.v1",
    "width": "${components.tok2vec.model.embed.width}",
    "upstream": "*",
}
SHARED = "tok2vec"  # name of the component with the shared tok2vec
# spaCy's classifier without a tok2vec, and the one that combines it with a tok2vec.
BAG = "spacy.TextCatBOW."
ENSEMBLE = "spacy.TextCatEnsemble.v2"
IDENTITY_ENCODER = "spacy-charlm.IdentityEncoder.v1"
ENCODER_SETTINGS = ("depth", "window_size", "maxout_pieces")
# spaCy's tok2vec where a config does not say more.
HASH_EMBED_CNN: Block = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 96,
    "depth": 4,
    "window_size": 1,
    "maxout_pieces": 3,
    "pretrained_vectors": None,
}

# --- objectives: target, loss, head, masking -----------------------------------------------------

WORDS: Block = {"@misc": "spacy-charlm.StaticVectors.v1", "path": "${paths.target_vectors}"}
LOSSES: dict[str, Block] = {
    "cosine": {"@misc": "spacy-charlm.CosineLoss.v1"},
    "squared_error": {"@misc": "spacy-charlm.SquaredErrorLoss.v1"},
    "contrastive": {"@misc": "spacy-charlm.ContrastiveLoss.v1"},
    "sampled_softmax": {"@misc": "spacy-charlm.SampledSoftmaxLoss.v1", "seed": "${system.seed}"},
    "cross_entropy": {"@misc": "spacy-charlm.CrossEntropyLoss.v1"},
}
VECTOR_LOSSES = ("cosine", "squared_error", "contrastive")
HEADS: dict[str, Block] = {
    "maxout": {"@architectures": "spacy-charlm.MaxoutHead.v1"},
    "linear": {"@architectures": "spacy-charlm.LinearHead.v1"},
}
MASKING: Block = {"@misc": "spacy-charlm.WordMasking.v1", "seed": "${system.seed}"}
TYPOS: Block = {"@misc": "spacy-charlm.Typos.v1", "misspellings": "${paths.misspellings}"}


@dataclass(frozen=True)
class Objective:
    """What pretraining predicts.

    text (str): What is predicted, for the header of the config.
    target (Dict[str, Any]): Block of the target; of several parts, name -> weight, target and,
        where it is not that of the option `loss`, loss.
    typos (bool): Whether words are also misspelled.
    losses (Tuple[str, ...]): Losses that fit, the default first.
    heads (Tuple[str, ...]): Heads that fit, the default first.
    corpus (Dict[str, Any]): Settings of the reader of raw text that are not its defaults.
    """

    text: str
    target: Block
    typos: bool = False
    losses: tuple[str, ...] = VECTOR_LOSSES
    heads: tuple[str, ...] = ("maxout", "linear")
    corpus: Block = field(default_factory=dict)


NO_OBJECTIVE = "none"
SPACY_OBJECTIVE = "PretrainVectors"
OBJECTIVES: dict[str, Objective] = {
    "words": Objective("the static vector of each word", WORDS),
    "trigram": Objective(
        "the vectors of each word and of its two neighbours",
        {"@misc": "spacy-charlm.NgramVectors.v1", "offsets": [-1, 0, 1], "target": WORDS},
    ),
    "head": Objective(
        "the vector of each word's syntactic head",
        {"@misc": "spacy-charlm.HeadVectors.v1", "parser": "${paths.parser}", "target": WORDS},
    ),
    "document": Objective(
        "at each word, the mean vector of the text, with words weighted by idf",
        {
            "@misc": "spacy-charlm.DocVectors.v1",
            "target": WORDS,
            "idf_corpus": read_corpus("raw_text", limit=5000),
        },
    ),
    "transformer": Objective(
        "the vector that a transformer gives each word in its context",
        {
            "@misc": "spacy-charlm.TransformerVectors.v1",
            "model": "${paths.transformer}",
            "cache": "${paths.cache}",
            "on_misaligned": "skip",
        },
    ),
    "denoising": Objective(
        "the static vector of the word that was meant, some words being misspelled",
        WORDS,
        typos=True,
    ),
    "spelling": Objective(
        "the static vector of the word that was meant, and how it is spelled, some words being "
        "misspelled",
        {
            "words": {"weight": 1.0, "target": WORDS},
            # At the characters, since all later layers would keep the letters instead of the
            # meaning. There a small weight teaches the letters as well as a large one.
            "spelling": {
                "weight": 0.05,
                "layer": "chars",
                "target": {"@misc": "spacy-charlm.SpellingVectors.v1"},
            },
        },
        typos=True,
    ),
    "bigrams": Objective(
        "the vectors of the word that was meant and of the bigram that ends at it, added up",
        {"@misc": "spacy-charlm.NgramSums.v1", "path": "${paths.target_vectors}"},
        typos=True,
    ),
    "multi": Objective(
        "the vectors of each word, of its neighbours and of the text",
        {
            "words": {"weight": 1.0, "target": WORDS},
            "neighbours": {
                "weight": 0.3,
                "target": {
                    "@misc": "spacy-charlm.NgramVectors.v1",
                    "offsets": [-1, 1],
                    "target": WORDS,
                },
            },
            "text": {
                "weight": 0.3,
                "target": {"@misc": "spacy-charlm.DocVectors.v1", "target": WORDS},
            },
        },
    ),
    # A text is a Doc here, and half a review is no text. With 1,000 tokens nearly all reviews and
    # most paragraphs of other texts stay whole, and a batch of 3,000 words still has several texts.
    "topics": Objective(
        "the vector of each word and, contrastively, that of the text",
        {
            "words": {"weight": 1.0, "target": WORDS},
            "text": {
                "weight": 1.0,
                "target": {
                    "@misc": "spacy-charlm.TextVectors.v1",
                    "path": "${paths.target_vectors}",
                },
                "loss": {"@misc": "spacy-charlm.ContrastiveLoss.v1", "temperature": 0.07},
            },
        },
        corpus={"max_length": 1000},
    ),
    "word_ids": Objective(
        "the id of each word in the vocabulary of the corpus",
        {
            "@misc": "spacy-charlm.WordIds.v1",
            "corpus": read_corpus("raw_text", limit=20000),
        },
        losses=("sampled_softmax", "cross_entropy"),
    ),
    SPACY_OBJECTIVE: Objective(
        "the static vector of each masked word, with spaCy's own objective",
        {"@architectures": "spacy.PretrainVectors.v1", "maxout_pieces": 3, "hidden_size": 300},
        losses=("cosine", "squared_error"),
        heads=("maxout",),
    ),
}

# --- tasks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What a config is for.

    text (str): The sentence for the header of the config; {embed} stands for the embed layer.
    components (Dict[str, Dict[str, Any]]): Components after the tok2vec; spaCy fills in the rest.
    learn_rate (float): Learning rate of `spacy train`.
    after_init (Dict[str, Any]): Settings of the callback that loads pretrained weights.
    score_weights (Dict[str, float]): Where they differ from spaCy's.
    before_to_disk (Dict[str, Any]): Block of the callback for pipelines that are saved.
    note (str): Comment for the header of the config.
    """

    text: str
    components: Block = field(default_factory=dict)
    learn_rate: float = 0.001
    after_init: Block = field(default_factory=dict)
    score_weights: Block = field(default_factory=dict)
    before_to_disk: Block = field(default_factory=dict)
    note: str = ""


def _listen(architecture: str, **settings: Any) -> Block:
    return {"@architectures": architecture, **settings, "tok2vec": LISTENER}


def _textcat(name: str, threshold: float, exclusive: bool) -> Block:
    settings = {"exclusive_classes": exclusive, "pooling": "sublinear", "ngram_weights": True}
    model = _listen("spacy-charlm.TextCatMean.v1", **settings)
    return {name: {"factory": name, "threshold": threshold, "model": model}}


# With few labels: see docs/how-to.md, "Train with few labels".
FINE_TUNING: Block = {
    "learn_rate_scale": 0.03,
    "delay": 50,
    "fit": {
        "@misc": "spacy-charlm.LogisticRegression.v1",
        "learn_rate_scale": 0.1,
        "vectors": "${paths.document_vectors}",
    },
}
CALIBRATE: Block = {"@callbacks": "spacy-charlm.calibrate.v1"}
TAGGER = {"tagger": {"factory": "tagger", "model": _listen("spacy.Tagger.v2")}}
PRETRAIN = "pretrain"
LMFAO = "words"
TASKS: dict[str, Task] = {
    PRETRAIN: Task("Pretrains {embed}."),
    "textcat": Task(
        "Trains a text classifier with exclusive classes on {embed}.",
        _textcat("textcat", 0.0, exclusive=True),
        learn_rate=0.003,
        after_init=FINE_TUNING,
        score_weights={"cats_macro_auc": 1.0, "cats_score": 0.0},
        before_to_disk=CALIBRATE,
    ),
    "textcat_multilabel": Task(
        "Trains a text classifier whose classes do not exclude each other on {embed}.",
        _textcat("textcat_multilabel", 0.5, exclusive=False),
        learn_rate=0.003,
        after_init=FINE_TUNING,
        before_to_disk=CALIBRATE,
    ),
    "ner": Task(
        "Trains a named entity recognizer on {embed}.",
        {
            "ner": {
                "factory": "charlm_ner",
                "model": _listen("spacy-charlm.CRF.v1", hidden_width=0),
            }
        },
    ),
    "tagger": Task("Trains a tagger on {embed}.", TAGGER),
    "parser": Task(
        "Trains a tagger and a dependency parser on {embed}.",
        {
            **TAGGER,
            "parser": {
                "factory": "parser",
                "min_action_freq": 1,
                "model": _listen(
                    "spacy.TransitionBasedParser.v2",
                    state_type="parser",
                    extra_state_tokens=False,
                    hidden_width=128,
                    maxout_pieces=3,
                    use_upper=True,
                ),
            },
        },
        score_weights={"tag_acc": 0.4, "dep_uas": 0.3, "dep_las": 0.3},
        note="min_action_freq: with spaCy's 30, a parser of fewer than 30 texts cannot shift "
        "(E1031).",
    ),
    LMFAO: Task(
        "Assembles a pipeline that suggests words: for each token, for [MASK], for misspellings.",
        {
            "charlm_lmfao": {
                "factory": "charlm_lmfao",
                "component": "tok2vec",
                "layer": "",
                "k": 5,
                "csls": False,
                "approximate": False,
                "index_dtype": "f16",
            }
        },
        note="The model of [components.tok2vec] and the target vectors must be those of the "
        "pretraining.",
    ),
}

# --- options -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConfigOptions:
    """What a config is for and what is in it.

    task (str): A key of `TASKS`.
    objective (str): A key of `OBJECTIVES`, or "none" for a config without pretraining.
    loss (Optional[str]): A key of `LOSSES`; by default the first that fits the objective.
    head (str): A key of `HEADS`. Recommended values: "linear" where a text's vectors are averaged,
        "maxout" for tokens.
    lang (str): Code of the language.
    vectors (Optional[str]): Path of the vectors to predict.
    table (Optional[str]): Path of word vectors that the character CNN reads from a table of its
        own; None for no table.
    gpu (bool): Whether the config is for a GPU.
    optimize (str): A key of `SIZES`.
    embed (str): A key of `EMBEDS`; those of spaCy are for comparisons.
    typos (bool): Whether each training text is also seen with typos.
    lmao (bool): Whether `spacy train` pretrains while it trains, by the component `charlm_lmao`.
    RAISES (ValueError): If a name is unknown or two options do not fit.
    """

    task: str = PRETRAIN
    objective: str = "words"
    loss: str | None = None
    head: str = "maxout"
    lang: str = "en"
    vectors: str | None = None
    table: str | None = None
    gpu: bool = False
    optimize: str = "efficiency"
    embed: str = "CharCNN"
    typos: bool = False
    lmao: bool = False

    def __post_init__(self) -> None:
        choices: dict[str, Any] = {
            "task": TASKS,
            "objective": [*OBJECTIVES, NO_OBJECTIVE],
            "loss": [*LOSSES, None],
            "head": HEADS,
            "optimize": SIZES,
            "embed": EMBEDS,
        }
        for name, known in choices.items():
            found = getattr(self, name)
            if found not in known:
                expected = ", ".join(filter(None, known))
                raise ValueError(Errors.E540.format(name=name, expected=expected, found=found))
        if self.table and self.embed != "CharCNN":
            _refuse(f"--embed {self.embed}", "--embed CharCNN for --table")
        where = f"--objective {self.objective}"
        objective = OBJECTIVES.get(self.objective)
        if objective is None:
            if self.lmao or self.loss or self.vectors:
                _refuse(where, "an objective for --lmao, --loss and --vectors")
            return
        if self.loss not in (None, *objective.losses):
            _refuse(f"--loss {self.loss}", f"--loss {' or '.join(objective.losses)} for {where}")
        if self.head not in objective.heads:
            _refuse(f"--head {self.head}", f"--head {' or '.join(objective.heads)} for {where}")
        if self.objective == SPACY_OBJECTIVE:
            if self.lmao:
                _refuse(where, "an objective of ours for --lmao")
        elif self.vectors and "target_vectors" not in find_paths(objective.target):
            _refuse(where, "an objective that predicts static vectors for --vectors")


def _refuse(found: str, expected: str) -> None:
    raise ValueError(Errors.E541.format(expected=expected, found=found))


def init_config(options: ConfigOptions) -> Config:
    """Make a complete config.

    options (ConfigOptions): What is in it.
    RETURNS (Config): The config, not interpolated, with every setting that the task reads.
    RAISES (ValueError): If the options do not fit the task.
    """
    if options.task in (PRETRAIN, LMFAO):
        if options.lmao:
            _refuse(f"--task {options.task}", "a task to train for --lmao")
        if options.typos:
            _refuse(
                f"--task {options.task}",
                "a task to train for --typos; --objective denoising pretrains with typos",
            )
    if options.task == PRETRAIN and options.objective == NO_OBJECTIVE:
        _refuse("--objective none", "an objective for --task pretrain")
    task = TASKS[options.task]
    size = SIZES[options.optimize]
    defaults = get_lang_class(options.lang).default_config
    tok2vec: Block = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": _make_embed(options, size["width"]),
        "encode": _make_encoder("components.tok2vec.model", {**HASH_EMBED_CNN, **size}),
    }
    if options.table:
        table = PRETRAINING_TABLE if options.task == PRETRAIN else TRAINING_TABLE
        tok2vec["embed"] |= table
    components = {"tok2vec": {"factory": "tok2vec", "model": tok2vec}, **task.components}
    nlp: Block = {
        "lang": options.lang,
        "pipeline": list(components),
        "before_creation": {"@callbacks": "spacy-charlm.use_blas.v1"},
    }
    blocks: Block = {
        "paths": {"vectors": None},
        "nlp": nlp,
        "components": components,
        "initialize": {"vectors": "${paths.vectors}"},
    }
    if options.task == LMFAO:
        blocks["initialize"]["components"] = {
            "charlm_lmfao": {
                "head": "${paths.head}",
                "vectors": "${paths.target_vectors}",
                "misspellings": "${paths.misspellings}",
            }
        }
        blocks["initialize"]["after_init"] = _load_weights()
        return _finish(blocks, options)
    nlp["batch_size"] = 1000 if options.gpu else 256 if options.task == PRETRAIN else 64
    allocator = "pytorch" if options.gpu and options.objective == "transformer" else None
    blocks["system"] = {"gpu_allocator": allocator, "seed": 0}
    blocks["corpora"] = {}
    if options.task == PRETRAIN:
        # spaCy reads [training] and [initialize] only to check them here.
        blocks["nlp"] = {**defaults["nlp"], **nlp}
        blocks["training"] = {
            **defaults["training"],
            "train_corpus": "corpora.pretrain",
            "dev_corpus": "corpora.pretrain_dev",
            "batcher": {"@batchers": "spacy.batch_by_sequence.v1", "size": 32},
            "optimizer": {"@optimizers": "Adam.v1"},
        }
        blocks["initialize"] = {**defaults["initialize"], "init_tok2vec": None}
    else:
        blocks["training"] = {
            "dropout": 0.2,
            "max_steps": 2000,
            "eval_frequency": 100,
            "batcher": {"@batchers": "spacy.batch_by_words.v1", "size": 2000},
            "logger": {"@loggers": "spacy.ConsoleLogger.v3"},
            "optimizer": _make_adam(task.learn_rate, L2=0.01),
            "score_weights": task.score_weights,
        }
        if task.before_to_disk:
            blocks["training"]["before_to_disk"] = _complete(task.before_to_disk)
        blocks["initialize"]["after_init"] = _load_weights(**task.after_init)
    if options.typos:
        blocks["corpora"] = {"train": {"augmenter": _make_augmenter()}}
    if options.lmao:
        _add_lmao(blocks, options, "tok2vec", "")
        before_to_disk = blocks["training"].get("before_to_disk")
        drop_lmao = _drop_lmao()
        blocks["training"]["before_to_disk"] = (
            {**before_to_disk, "then": drop_lmao} if before_to_disk else drop_lmao
        )
    elif options.objective != NO_OBJECTIVE:
        _add_pretraining(blocks, options, "tok2vec", "")
    config = _finish(blocks, options)
    return config if options.task == PRETRAIN else _fill(config)


def _make_embed(options: ConfigOptions, width: Any) -> Block:
    block = {**EMBEDS[options.embed], "width": width}
    if "filters" in block:
        size = SIZES[options.optimize]
        block.update({name: size[name] for name in ("filters", "cache_size") if name in size})
    return _complete(block)


def _make_encoder(where: str, settings: Block) -> Block:
    """Make the encoder of the tok2vec at a dotted name."""
    width = f"${{{where}.embed.width}}"
    if not settings["depth"]:
        return {"@architectures": IDENTITY_ENCODER, "width": width}
    settings = {name: settings[name] for name in ENCODER_SETTINGS}
    return {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": width, **settings}


def _make_objective(options: ConfigOptions, tok2vec: Block) -> Block:
    objective = OBJECTIVES[options.objective]
    loss = options.loss or objective.losses[0]
    if options.objective == SPACY_OBJECTIVE:
        return {**objective.target, "loss": {"cosine": "cosine", "squared_error": "L2"}[loss]}
    shared = {"loss": LOSSES[loss], "head": HEADS[options.head]}
    masking = MASKING
    if _name_of(tok2vec.get("encode")) == IDENTITY_ENCODER:
        masking = {**MASKING, "rate": 0.0}  # without context, nothing says which word is hidden
    if objective.typos:
        masking = {
            "@misc": "spacy-charlm.TypoMasking.v1",
            "seed": "${system.seed}",
            "masking": masking,
            "typos": TYPOS,
        }
    if "@misc" in objective.target:
        name, parts = "LMAO", {"target": objective.target, **shared}
    else:
        name = "MultiLMAO"
        targets = objective.target.items()
        # What a part has of its own replaces what the parts share, and the order stays.
        parts = {"parts": {part: block | shared | block for part, block in targets}}
    return {"@architectures": f"spacy-charlm.{name}.v1", **parts, "masking": masking}


def _make_adam(learn_rate: Any, L2: float) -> Block:
    return {"@optimizers": "spacy-charlm.Adam.v1", "learn_rate": learn_rate, "L2": L2}


def _make_augmenter() -> Block:
    return _complete({"@augmenters": "spacy-charlm.typo_augmenter.v1", "typos": TYPOS})


def _load_weights(component: str = "tok2vec", layer: str = "", **settings: Any) -> Block:
    return _complete(
        {
            "@callbacks": "spacy-charlm.load_weights.v1",
            "path": "${paths.init_weights}",
            "component": component,
            "layer": layer,
            **settings,
        }
    )


def _drop_lmao() -> Block:
    return {"@callbacks": "spacy-charlm.drop_lmao.v1"}


def _add_pretraining(blocks: Block, options: ConfigOptions, component: str, layer: str) -> None:
    """Add what `spacy pretrain` and `charlm pretrain` read."""
    corpora = blocks.setdefault("corpora", {})
    texts = read_corpus("raw_text", shuffle=True, seed="${system.seed}")
    more = OBJECTIVES[options.objective].corpus
    corpora["pretrain"] = _complete({**texts, "min_words": MIN_WORDS, **more})
    corpora["pretrain_dev"] = _complete({**read_corpus("dev_text", limit=1000), **more})
    schedule = {
        "@schedules": SCHEDULE,
        "initial_rate": 0.002,
        "total_steps": AUTO,
        "warmup_steps": AUTO,
        "corpus": "${corpora.pretrain}",
        "batch_words": "${pretraining.batcher.size}",
        "epochs": "${pretraining.max_epochs}",
        "lang": "${nlp.lang}",
    }
    pretraining = {
        "max_epochs": 1,
        "dropout": 0.1,
        "n_save_every": None,
        "n_save_epoch": None,
        "component": component,
        "layer": layer,
        "corpus": "corpora.pretrain",
        "batcher": {
            "@batchers": "spacy.batch_by_words.v1",
            "size": 3000,
            "discard_oversize": False,
            "tolerance": 0.2,
        },
        "objective": _make_objective(options, _get_tok2vec(blocks, component, layer)),
        "optimizer": _make_adam(schedule, L2=0.0),
    }
    blocks["pretraining"] = _complete(pretraining)
    settings = Settings.model_validate({"dev_corpus": "corpora.pretrain_dev"})
    blocks["charlm"] = settings.model_dump()


def _add_lmao(blocks: Block, options: ConfigOptions, component: str, layer: str) -> None:
    """Add the component that pretrains while the others train, after that with the tok2vec."""
    pipeline = blocks["nlp"]["pipeline"]
    pipeline.insert(pipeline.index(component) + 1, "charlm_lmao")
    lmao = {
        "factory": "charlm_lmao",
        "component": component,
        "layer": layer,
        "weight": 1.0,
        "every": 1,
        "words": 1000,
        "training_docs": True,
        "corpus": {
            **read_corpus("raw_text", shuffle=True, seed="${system.seed}"),
            **OBJECTIVES[options.objective].corpus,
        },
        "objective": _make_objective(options, _get_tok2vec(blocks, component, layer)),
    }
    blocks["components"]["charlm_lmao"] = _complete(lmao)


def _finish(blocks: Block, options: ConfigOptions | None = None) -> Config:
    """Make a config of blocks, with an entry of [paths] for each path that they name."""
    paths = blocks.setdefault("paths", {})
    for name in find_paths(blocks):
        paths.setdefault(name, PATH_DEFAULTS.get(name))
    if options and options.vectors is not None:
        paths["target_vectors" if "target_vectors" in paths else "vectors"] = options.vectors
    if options and options.table:
        paths["table"] = options.table
    blocks["paths"] = {name: paths[name] for name in _sort(paths, PATHS)}
    return Config({name: blocks[name] for name in _sort(blocks, SECTIONS)}).copy()


def _complete(block: Block) -> Block:
    """Add the defaults of the registered functions that a block names; variables stay."""
    return registry.fill({"block": block}, validate=False)["block"]


def _fill(config: Config) -> Config:
    """Let spaCy add the settings that were left out."""
    with use_ops("numpy"):  # use_blas sets the backend of the process
        return _finish(load_model_from_config(config, auto_fill=True).config)


def _sort(names: Collection[str], order: Collection[str]) -> list[str]:
    """Put names into an order; those that it does not know come last."""
    return [*(name for name in order if name in names), *(n for n in names if n not in order)]


def find_paths(block: Any) -> list[str]:
    """List the names of [paths] that a block refers to, each once, in the order of `PATHS`."""
    if isinstance(block, Mapping):
        names = {name for value in block.values() for name in find_paths(value)}
        return _sort(sorted(names), PATHS)
    return re.findall(r"\$\{paths\.(\w+)\}", block) if isinstance(block, str) else []


# --- the user's own pipeline ---------------------------------------------------------------------


def insert_pretraining(
    config: Config, options: ConfigOptions, component: str | None = None
) -> tuple[Config, list[str]]:
    """Put the embed layer, and pretraining for it, into the config of a pipeline.

    The encoder, the components and their settings stay. So do settings that the config makes
    already, such as a callback in [initialize.after_init]; the notes name them. A pipeline whose
    only models are bags of words gets a tok2vec, to which they listen.

    config (Config): The config, not interpolated.
    options (ConfigOptions): What is put in. Task, language and width remain the config's own.
    component (Optional[str]): The component with the tok2vec; needed where there are several.
    RETURNS (Tuple[Config, List[str]]): The new config, and sentences that say what was done, then
        warnings from `Errors`.
    RAISES (ValueError): If there is no tok2vec, or one that cannot be changed.
    """
    config = config.copy()
    notes = []
    bags = [] if component else _add_tok2vec(config, options)
    for bag in bags:
        notes.append(
            f"Made the model of '{bag}' the linear model of a {ENSEMBLE}, which listens to the new "
            f"component '{SHARED}', because a bag of words does not read a tok2vec."
        )
    name, layer = _find_tok2vec(config, component)
    if layer and "TransitionBasedParser" in _name_of(config["components"][name]["model"]):
        config = _share_tok2vec(config, name)
        notes.append(
            f"Moved the tok2vec of '{name}' into a shared component, to which '{name}' listens, "
            "because spaCy cannot pretrain it inside a parser."
        )
        name, layer = SHARED, ""
    config = _swap_embed(config, options, name, layer)
    notes.append(f"Put {options.embed} into [{_locate(name, layer)}.embed].")
    embed = _get_tok2vec(config, name, layer)["embed"]
    vectors = config.get("initialize", {}).get("vectors")
    if options.table:
        others = ", in place of the vectors in [initialize]"
        others = others if embed.get("include_static_vectors") else ""
        embed |= TRAINING_TABLE
        notes.append(f"Gave it a table with the word vectors of [paths.table]{others}.")
    if embed.get("include_static_vectors") and vectors is None:
        embed["include_static_vectors"] = False
        notes.append("Set its include_static_vectors to false: [initialize] has no vectors.")
    elif embed.get("include_static_vectors"):
        notes.append(
            "As before, the embed layer also reads the vectors in [initialize]. To do without them "
            f"add: --initialize.vectors null --{_locate(name, layer)}.embed.include_static_vectors "
            "false"
        )
    for section in ("system", "corpora", "training", "initialize"):
        config.setdefault(section, {})
    config["system"].setdefault("seed", 0)
    wanted = [
        ("nlp", "before_creation", {"@callbacks": "spacy-charlm.use_blas.v1"}),
        ("initialize", "after_init", _load_weights(name, layer)),
    ]
    if options.lmao:
        _add_lmao(config, options, name, layer)
        wanted.append(("training", "before_to_disk", _drop_lmao()))
        notes.append("Added [components.charlm_lmao].")
    elif options.objective != NO_OBJECTIVE:
        _add_pretraining(config, options, name, layer)
        notes.append("Wrote [pretraining], [charlm], [corpora.pretrain] and its pretrain_dev.")
    if options.typos:
        wanted.append(("corpora.train", "augmenter", _make_augmenter()))
    for section, key, block in wanted:
        settings = config
        for part in section.split("."):
            settings = settings.setdefault(part, {})
        if not settings.get(key):
            settings[key] = block
            notes.append(f"Set [{section}.{key}] to {_name_of(block)}.")
        elif _name_of(settings[key]) != _name_of(block):
            notes.append(f"Kept your [{section}.{key}] and left out {_name_of(block)}.")
    if _name_of(config["initialize"]["after_init"]) != _name_of(_load_weights()):
        config["initialize"]["init_tok2vec"] = "${paths.init_tok2vec}"
    config = _finish(config, options)
    try:
        config.interpolate()
    except ConfigValidationError as err:
        reason = " ".join(str(err).split())
        raise ValueError(Errors.E546.format(reason=reason)) from err
    shared, others = find_non_listeners(config)
    if others:
        notes.append(Errors.W654.format(component=shared, others=", ".join(others)))
    return config, notes


def find_non_listeners(config: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Find the components on which a shared tok2vec has no effect.

    config (Config): The config.
    RETURNS (Tuple[str, List[str]]): The first shared tok2vec of the pipeline, "" if there is none,
        and the components whose model has no listener. Sourced components have no model here.
    """
    components = config.get("components", {})
    names = config.get("nlp", {}).get("pipeline") or []
    shared = [name for name in names if components.get(name, {}).get("factory") == "tok2vec"]
    if not shared:
        return "", []
    models = {name: components.get(name, {}).get("model") for name in names if name not in shared}
    return shared[0], [
        name
        for name, model in models.items()
        if isinstance(model, Mapping) and not _has_listener(model)
    ]


def _has_listener(block: Mapping[str, Any]) -> bool:
    inner = [value for value in block.values() if isinstance(value, Mapping)]
    return "Listener" in _name_of(block) or any(map(_has_listener, inner))


def _add_tok2vec(config: Config, options: ConfigOptions) -> list[str]:
    """Add a shared tok2vec to a pipeline without one, and let its bags of words listen to it."""
    names = config.get("nlp", {}).get("pipeline", [])
    models = {name: config["components"].get(name, {}).get("model") for name in names}
    trained = [name for name, model in models.items() if isinstance(model, Mapping)]
    bags = [name for name in trained if BAG in _name_of(models[name])]
    if not bags or bags != trained or SHARED in config["components"]:
        return []
    for name in bags:
        model = {"@architectures": ENSEMBLE, "linear_model": models[name], "tok2vec": LISTENER}
        config["components"][name]["model"] = model
    size = SIZES[options.optimize]
    block = {**HASH_EMBED_CNN, "width": size["width"], "depth": size["depth"]}
    config["components"][SHARED] = {"factory": "tok2vec", "model": block}
    config["nlp"]["pipeline"].insert(names.index(bags[0]), SHARED)
    return bags


def _find_tok2vec(config: Config, component: str | None) -> tuple[str, str]:
    """Find the component with the tok2vec, and the layer: "" for the whole, or "tok2vec"."""
    names = config.get("nlp", {}).get("pipeline", [])
    blocks = {name: config.get("components", {}).get(name, {}) for name in names}
    layers = {}
    for name, block in blocks.items():
        if block.get("factory") == "tok2vec":
            layers[name] = ""
        elif _is_tok2vec((block.get("model") or {}).get("tok2vec")):
            layers[name] = "tok2vec"
    shared = [name for name, layer in layers.items() if not layer]
    candidates = [component] if component else shared or list(layers)
    if len(candidates) > 1:
        raise ValueError(Errors.E543.format(names=", ".join(candidates)))
    if candidates and candidates[0] in layers:
        return candidates[0], layers[candidates[0]]
    sourced = [name for name, block in blocks.items() if "source" in block]
    if any("transformer" in block.get("factory", "") for block in blocks.values()):
        found = "a transformer. `spacy init config` without --gpu writes a tok2vec in its place"
    elif sourced and (not component or component in sourced):
        found = f"sourced components ({', '.join(sourced)}), whose layers are in another pipeline"
        found += ". Insert the embed layer into the config.cfg of that pipeline"
    else:
        where = f"in '{component}'" if component else f"in the pipeline [{', '.join(names)}]"
        found = f"none {where}. `spacy init fill-config` adds the blocks that are left out"
    raise ValueError(Errors.E542.format(found=found))


def _is_tok2vec(block: Any) -> bool:
    return bool(block) and "Listener" not in _name_of(block)


def _name_of(block: Any) -> str:
    """Get the registered name that a block is built by."""
    block = block if isinstance(block, Mapping) else {}
    return next((value for key, value in block.items() if key.startswith("@")), "")


def _get_tok2vec(config: Mapping[str, Any], name: str, layer: str) -> Block:
    model = config["components"][name]["model"]
    return model[layer] if layer else model


def _locate(name: str, layer: str) -> str:
    return f"components.{name}.model" + (f".{layer}" if layer else "")


def _share_tok2vec(config: Config, name: str) -> Config:
    """Move the tok2vec of a component into a shared component in front of it."""
    if SHARED in config["components"]:
        raise ValueError(Errors.E545.format(component=name, shared=SHARED))
    model = config["components"][name]["model"]
    config["components"][SHARED] = {"factory": "tok2vec", "model": model["tok2vec"]}
    model["tok2vec"] = LISTENER
    pipeline = config["nlp"]["pipeline"]
    pipeline.insert(pipeline.index(name), SHARED)
    return _rename(config, {_locate(name, "tok2vec"): _locate(SHARED, "")})


def _swap_embed(config: Config, options: ConfigOptions, name: str, layer: str) -> Config:
    """Replace the embed layer of a tok2vec by one of the same width."""
    parent = config["components"][name]
    parent, key = (parent["model"], layer) if layer else (parent, "model")
    old = parent.get(key) or HASH_EMBED_CNN
    where = _locate(name, layer)
    kind = _name_of(old)
    if "HashEmbedCNN" in kind:  # embed and encode in one block
        old = {**HASH_EMBED_CNN, **old}
        encode = _make_encoder(where, old)
        embed = {"width": old["width"], "include_static_vectors": bool(old["pretrained_vectors"])}
        parent[key] = {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}
        moved = {"width": "embed", **dict.fromkeys(ENCODER_SETTINGS, "encode")}
        config = _rename(config, {f"{where}.{a}": f"{where}.{b}.{a}" for a, b in moved.items()})
        return _swap_embed(config, options, name, layer)
    embed = old.get("embed", {})
    if not kind.startswith("spacy.Tok2Vec.") or "width" not in embed:
        raise ValueError(Errors.E544.format(where=where, found=kind or "none"))
    if _name_of(embed) != EMBEDS[options.embed]["@architectures"]:
        new = _make_embed(options, embed["width"])
        new["include_static_vectors"] = embed.get("include_static_vectors", False)
        parent[key]["embed"] = new
    return config


def _rename(config: Config, names: Mapping[str, str]) -> Config:
    """Make the variables of a config refer to settings by their new names."""
    text = config.to_str(interpolate=False)
    for old, new in names.items():
        text = re.sub(rf"\$\{{{re.escape(old)}(?=[.}}])", f"${{{new}", text)
    return Config().from_str(text, interpolate=False)


# --- what a user reads and runs next -------------------------------------------------------------


def next_commands(config: Config, path: str, gpu: bool = False) -> list[str]:
    """List the commands that a config is for.

    config (Config): The config, not interpolated.
    path (str): Where it is saved.
    gpu (bool): Whether they run on a GPU.
    RETURNS (List[str]): The commands, with placeholders for the paths that are not set yet.
    """
    pretraining = config.get("pretraining")
    initialize = config["initialize"]
    lmao = "charlm_lmao" in config["components"]
    after_init = initialize.get("after_init")
    if _name_of(after_init) != _name_of(_load_weights()):
        after_init = None
    trains = "train" in config.get("corpora", {})
    commands: list[tuple[str, Block]] = []
    if pretraining:
        reads = {"objective": pretraining["objective"], "corpus": config["corpora"]["pretrain"]}
        if SPACY_OBJECTIVE in _name_of(pretraining["objective"]):
            reads["vectors"] = "${paths.vectors}"
        if "cache" in config["paths"]:
            commands.append((f"charlm vectors cache {path}", reads))
        commands.append((f"pretrain {path} pretrain", reads))
    if trains:
        reads = {
            "corpora": {key: config["corpora"][key] for key in ("train", "dev")},
            "components": config["components"],
            "weights": None if lmao else after_init or initialize.get("init_tok2vec"),
        }
        commands.append((f"train {path} --output training", reads))
    elif not pretraining:
        reads = {key: initialize.get(key) for key in ("after_init", "components")}
        commands.append((f"assemble {path} pipeline", reads))
    lines = []
    for command, reads in commands:
        words = [f"python -m spacy {command}"]
        for name in find_paths(reads):
            placeholder = PATHS.get(name, ("", ""))[0]
            if placeholder == "WEIGHTS" and pretraining:
                placeholder = "pretrain/model-last.bin"
            if placeholder and config["paths"].get(name) is None:
                words.append(f"--paths.{name} {placeholder}")
        lines.append(" ".join(words + ["--gpu-id 0"] * gpu))
    return lines


def describe_config(config: Config, options: ConfigOptions, path: str) -> list[str]:
    """Say what a config does, which commands come next, and what its paths are.

    config (Config): What `init_config` made.
    options (ConfigOptions): What it was made of.
    path (str): Where it is saved.
    RETURNS (List[str]): Lines for the header of the config.
    """
    task = TASKS[options.task]
    lines = [task.text.format(embed=EMBED_TEXTS[options.embed])]
    if options.objective != NO_OBJECTIVE and options.task != LMFAO:
        objective = OBJECTIVES[options.objective]
        loss = (options.loss or objective.losses[0]).replace("_", " ")
        lines += ["Pretrains at the same time, on raw text and the training texts."] * options.lmao
        lines.append(f"Target: {objective.text}. Loss: {loss}. Head: {options.head}.")
    if task.note:
        lines.append(task.note)
    lines += next_commands(config, path, options.gpu)
    notes = {name: PATHS.get(name, ("", ""))[1] for name in config["paths"]}
    return lines + [f"paths.{name}: {note}" for name, note in notes.items() if note]
