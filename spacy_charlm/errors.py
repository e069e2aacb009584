"""Every message: what was expected, what was found, what to do."""


class _WithCodes(type):
    """Puts the code of a message in front of it, as spaCy's own errors do."""

    def __getattribute__(self, code: str) -> str:
        message = super().__getattribute__(code)
        return message if code.startswith("__") else f"[charlm {code}] {message}"


class Errors(metaclass=_WithCodes):
    """Message templates, filled with `Errors.E101.format(...)`.

    Codes that begin with E are errors, those that begin with W are warnings. The prefix "charlm"
    keeps them apart from spaCy's own codes.
    """

    # E1xx: reading text (text/)
    E101 = (
        "Expected the path of a raw text, but found none. Set it in the config or on the command "
        "line, for example: --paths.raw_text text.jsonl"
    )
    E102 = (
        "Expected a file or folder of text at '{path}', but found nothing. Check the path; "
        "relative paths start at the current folder."
    )
    E103 = (
        "Expected files of text ({formats}) in the folder '{path}' or below it, but found none. "
        "Hidden files are ignored; rename the files, or give another folder."
    )
    E104 = (
        "Expected a file of text ({formats}), but found '{path}'. Convert it, or rename it if only "
        "its name differs."
    )
    E105 = (
        "Expected at least one text in '{path}', but found {counts}. Give another path, or lower "
        "min_length."
    )
    E106 = (
        "Expected one JSON object per line in '{path}', but found something else in line {line} "
        '({reason}). A valid line: {{"text": "The first text."}}'
    )
    E107 = (
        "Expected a record with text in '{path}', line {line}, but found {found}. Valid lines: "
        '{{"text": "It works."}} or {{"tokens": ["It", "works", "."], "spaces": [true, false, '
        "false]}}"
    )
    E108 = (
        "Expected UTF-8 in '{path}', but found another encoding in line {line}, byte {byte} of the "
        "line. Convert the file, for example with: iconv -f latin1 -t utf8"
    )
    E109 = (
        "Expected a whole gzip file at '{path}', but found damage after line {line} ({reason}). "
        "Download or compress the file again."
    )
    E110 = (
        "Expected a file written by DocBin.to_disk at '{path}', but found damage or something else "
        "({reason}). Write it again, for example with: python -m spacy convert"
    )
    E201 = (
        "Expected vectors in the pipeline's vocab for StaticVectors without a path, but found "
        "{found}. Set 'path' in the target's block (in our configs: `--paths.target_vectors "
        "VECTORS`), or 'initialize.vectors' in the config."
    )
    E202 = (
        "Expected a file or folder of vectors at '{path}', but found nothing. Check `path` of the "
        "target, or `vectors` of the component."
    )
    E203 = (
        "Expected spaCy vectors in the folder '{path}' (a file 'vectors' in it, in 'vocab' or in "
        "'vectors'), but found: {reason}. Write them with: python -m spacy init vectors LANG FILE "
        "FOLDER"
    )
    E204 = (
        "Expected {expected} at {where}, but found {found}. The width comes from the header or, "
        "without one, from the first line. Complete or remove the line."
    )
    E205 = (
        "Expected a word and {expected} numbers at {where}, but found {found}. The width comes "
        "from the header or, without one, from the first line; all vectors of a file have one "
        "width."
    )
    E206 = "Expected a decimal number at {where}, but found {found}. Correct or remove the line."
    E207 = (
        "Expected finite numbers at {where}, but found nan or infinity in the vector of {word!r}. "
        "Correct or remove the vector."
    )
    E208 = (
        "Expected vectors as UTF-8 text at {where}, but found the word {found!r}. Convert the file "
        "to UTF-8, unpack archives, and save word2vec .bin files as text."
    )
    E209 = (
        "Expected lines of a word and its numbers in '{path}', but found no vector. Check that the "
        "file was written to the end."
    )
    E210 = (
        "Expected {expected} vectors in '{path}', as its first line says, but found {found}. The "
        "file may be cut off; otherwise correct its first line."
    )
    E211 = (
        "Expected a whole gzip file at '{path}', but found damage after line {line}: {error}. Copy "
        "or download the file again."
    )
    E212 = (
        "Expected GloVe or word2vec text in '{path}', but found floret's own table. Convert it "
        "with: python -m spacy init vectors LANG FILE FOLDER --mode floret; and give the folder as "
        "'path'"
    )
    E213 = (
        "Expected vectors of width {expected}, but found width {found} in '{name}'. Give the "
        "vectors that the setting 'width' was written for, or change it."
    )
    E214 = (
        "Expected words of the corpus among the target vectors '{name}', but found none in the "
        "first {tokens} words. The vectors have {table}; the corpus has {text}. Check that "
        "language, case and tokenization agree."
    )
    E215 = (
        "Expected `open(vocab)` to be called before the first use of a target. The objective calls "
        "it; call it yourself if you use the target alone."
    )
    E216 = (
        "Expected at least one offset of NgramVectors, all of them different whole numbers, such "
        "as [-1, 0, 1], but found {found}."
    )
    E217 = (
        "Expected `parser` of HeadVectors to be a pipeline that sets heads, but found at '{path}': "
        "{found}. Give the name or folder of a pipeline with a parser, such as en_core_web_sm "
        "(python -m spacy download en_core_web_sm), or null if all texts have heads."
    )
    E218 = (
        "Expected texts with heads for HeadVectors, but found none in the text that begins "
        "{text!r}. Pretrain on a .spacy file with a parse, or set `parser` to a pipeline with a "
        "parser, such as en_core_web_sm."
    )
    E219 = (
        "Expected a target of DocVectors with one vector per token, such as "
        "spacy-charlm.StaticVectors.v1, but found one with {found}. Change the `target` in its "
        "block."
    )
    E220 = (
        "Expected words that occur {min_count} times or more in the corpus of WordIds, but found "
        "none among {found} words. Lower `min_count`, or give more text."
    )
    E221 = (
        "Expected bigrams among the target vectors '{name}' for `ngram = 2`, with keys such as "
        "'not good', but found {found} (mode: {mode}). Give vectors that `charlm vectors train` "
        "has written with bigrams, or set `ngram` to 1."
    )
    E222 = (
        "Expected one vector per word in '{name}' for `pooling = \"idf\"`, which weights a word by "
        "the length of its vector, but found the mode '{mode}'. Set `pooling` to \"mean\", or give "
        "other vectors."
    )
    E223 = (
        "Expected words in '{path}' for `words` of TextCorpus, but found none. Give a folder of "
        "spaCy vectors with one row per word, a file of vectors, or a file with a word per line."
    )
    E224 = (
        "Expected one vector per word in '{name}', so that each word can have a weight, but found "
        "the mode '{mode}'. Give vectors that `charlm vectors train` has written."
    )
    E225 = (
        "Expected `ngrams` of SpellingVectors to list at least one size, such as [1, 2, 3], but "
        "found {found}."
    )
    E230 = (
        "Expected an encoder '{model}' with weights and a tokenizer, but found: {found}. Without "
        "access to the hub, give the folder of a model on this machine."
    )
    E231 = (
        "Expected '{model}' to have a fast tokenizer, which gives the offsets of its pieces, but "
        "found none. Use a model with a tokenizer.json."
    )
    E232 = (
        'Expected `layer` to be "pieces", "last", a number from 0 to {depth} or a list of such '
        "numbers, but found {layer!r}."
    )
    E233 = (
        "Expected the description of a cache in '{path}', but found a damaged file ({reason}). "
        "Remove the folder; it will be filled again."
    )
    E234 = (
        "Expected the cache '{path}' to have the vectors that the config asks for, but found "
        "{found}. Give another folder, or remove this one."
    )
    E235 = "Expected `{name}` to be {expected}, but found {found!r}."
    E236 = (
        "Expected a target spacy-charlm.TransformerVectors.v1 whose `cache` names a folder, but "
        'found none. Write for example cache = "vectors/cache" in its block.'
    )
    E237 = (
        "Expected word pieces of '{model}' in a text with words, but found none in the text that "
        'begins {text!r}. Remove the text, or set on_misaligned = "skip".'
    )
    E238 = (
        "Expected the text that begins {text!r} in the cache '{path}', but did not find it, and "
        "{needed}. Fill the cache with: python -m spacy charlm vectors cache CONFIG"
    )
    W201 = (
        "Found {duplicates} lines in '{path}' that repeat a word. The first vector of each word is "
        "kept."
    )
    W230 = "Found damage in '{path}'. The affected texts are encoded again, which needs the model."
    W231 = "The cache '{path}' has reached its limit of {size:.1f} GB. No more texts are added."
    W232 = (
        "Found no word piece of '{model}' in the text that begins {text!r}, so it has no targets. "
        "Further texts like it are skipped silently."
    )

    # E25x: training of vectors (vectors/)
    E251 = (
        "Expected n-grams that occur in at least {least} texts, but the most frequent one occurs "
        "in {most}. Lower --min-count, or give more texts."
    )
    E252 = (
        "Expected no unfinished training in '{path}', but found one. Continue it with --resume, or "
        "remove the folder."
    )
    E253 = (
        "Expected a training to resume in '{path}', but found none: it was never stopped, or "
        "stopped before its first update. Run the command without --resume."
    )
    E254 = (
        "Expected the settings and the text of the training in '{path}', but found changes "
        "({found}). Undo them, or start again in another folder."
    )
    E290 = (
        "Expected a folder or file of word vectors at '{path}' for the table of the character CNN, "
        "but found nothing. Correct `path` in its block `table`, or set it to null if pretrained "
        "weights bring the table."
    )
    E291 = (
        "Expected one source of static vectors for the character CNN, but found both a `table` and "
        "include_static_vectors = true. Leave the block out, or set include_static_vectors = false."
    )
    E292 = (
        "Expected word vectors in the table of the character CNN, and its lists of names, before "
        "its training, but found none. Set `path` in its block `table` or `lexicons`, or load "
        "pretrained weights that bring them."
    )
    E293 = (
        "Expected single words with vectors in '{path}' for the table of the character CNN, but "
        "found none. Give vectors with one row per word."
    )

    # E3xx: objectives, losses and maskings (objectives/)
    E302 = "Expected `{name}` to be a share between 0 and 1, but found {found}."
    E305 = (
        "Expected finite numbers, but found {what} in batch {batch} ({n_docs} texts, the first of "
        "which begins {text!r}). The weights are still those of the previous batch, and are saved. "
        "Lower the learning rate, clip gradients (grad_clip = 1.0), or look for unusual values in "
        "the target vectors."
    )
    E306 = (
        "Expected `{name}` of the objective to have the blocks `target`, `loss` and `head` and, "
        "optionally, `weight` and `layer`, but found {found}. Write for example: "
        "[pretraining.objective.parts.words], weight = 1.0, and below it "
        "[pretraining.objective.parts.words.target], [...words.loss] and [...words.head]."
    )
    E307 = (
        "Expected the weight of the part `{name}` of spacy-charlm.MultiLMAO.v1 to be above 0, but "
        "found {found}. Leave the block out if it is not to count."
    )
    E308 = (
        'Expected `layer` of the part `{name}` of spacy-charlm.MultiLMAO.v1 to be "" for the '
        'output of the tok2vec or "chars" for the characters, but found {found!r}. Correct it or '
        "leave it out."
    )
    E309 = (
        "Expected a loss that fits its target, but found {found}. For vectors use CosineLoss, "
        "SquaredErrorLoss or ContrastiveLoss; for ids use CrossEntropyLoss or SampledSoftmaxLoss."
    )
    E310 = (
        "Expected the embed layer spacy-charlm.CharCNN.v1 for the part `{name}` of "
        "spacy-charlm.MultiLMAO.v1, which reads the characters, but found '{found}'. Take this "
        'embed layer, or remove `layer = "chars"`.'
    )
    E311 = (
        "Expected a target for one of these units: {expected}, but found one for '{found}'. Choose "
        "another target."
    )
    E330 = (
        "Expected a list of words or vectors as `words` of TextCorpus, because `words_alike` is "
        "{found}, but found none. Set `words`, or set `words_alike` to 0."
    )
    E340 = (
        "Expected `names` of spacy-charlm.Lexicons.v1 to be distinct names of lists, at least one, "
        'such as ["cities"] for the file cities.txt, but found {found}. Give the names of the '
        "files, without folder and ending."
    )
    E341 = (
        "Expected the list '{name}' as {name}.txt or {name}.txt.gz in the folder '{folder}', but "
        "found: {found}. Correct `names` or `path` of spacy-charlm.Lexicons.v1, or set `path` to "
        "null if pretrained weights bring the lists."
    )
    E342 = (
        "Expected a list with one name per line in '{path}', but found no name. Fill the list, or "
        "remove it from `names` of spacy-charlm.Lexicons.v1."
    )
    E343 = (
        "Expected names of at most {most} words in '{path}', but found {found} words in line "
        "{line}. Write one name per line."
    )

    # E4xx: layers and architectures (layers/, architectures/)
    E401 = (
        "Expected the name of a lexical attribute, such as NORM, SHAPE, PREFIX or SUFFIX, but "
        "found '{attr}' in `attrs`. Correct the name or leave it out."
    )
    E402 = (
        "Expected `normalise` to be one of {forms}, but found '{found}'. 'none' reads words as "
        "they are, 'NFC' composes accents."
    )
    E403 = (
        "Expected {name} of at least {least}, but found {name} = {found}. {good} is a good value."
    )
    E405 = (
        "Expected static vectors in the vocab, because the character CNN has "
        "include_static_vectors = true, but found none. Set `vectors` in [initialize] to a folder "
        "with vectors, or set include_static_vectors = false."
    )
    E406 = (
        "Expected the `window` of a character convolution to be an odd number of characters, but "
        "found {found}. Use 3, 5 or 7."
    )
    E407 = (
        "Expected two lists of one length, but found {n_first} values in `{first}` and {n_second} "
        "in `{second}`: {hint}."
    )

    # E5xx: weights, checkpoints and training (card.py, training/)
    E501 = (
        "Expected the weights of a tok2vec, as `spacy pretrain` writes them, in {path}, but found "
        "something else: {reason}. The file may be cut off; use another one."
    )
    E502 = (
        "Expected pretrained weights in {path}, but found no such file ({found}). Run `spacy "
        "pretrain` first, or correct the path in [initialize.after_init] or on the command line."
    )
    E503 = (
        "Expected weights that fit the config, but found differences in {path}:\n{lines}\nChange "
        "the config to the settings of the weights, or pretrain with this config."
    )
    E504 = (
        "Expected `component` of spacy-charlm.load_weights.v1 to be in the pipeline, but "
        "'{component}' is not one of {names}. Give the name of the component with the tok2vec."
    )
    E505 = (
        "Expected `layer` of spacy-charlm.load_weights.v1 to be a layer of '{component}', but "
        "'{layer}' is not one of {names}. Leave it empty for the whole model."
    )
    E506 = (
        "Expected no `initialize.init_tok2vec` in a config without a [pretraining] block, where "
        "spaCy ignores it, but found {path}. Set `path` in [initialize.after_init] to that file "
        "instead, or add the [pretraining] block that made the weights."
    )
    E507 = (
        "Expected `learn_rate_scale` of zero or more and the optimizer {expected}, which applies "
        "it and `delay`, but found {scale} and {found}. Set @optimizers in [training.optimizer] to "
        "{expected}; its settings are those of Adam.v1."
    )
    E508 = (
        "Expected a text classifier of the architecture spacy-charlm.TextCatMean.v1 that reads the "
        "tok2vec of '{component}', to start it from a logistic regression, but found the "
        "components {names}. Leave out the block [initialize.after_init.fit]."
    )
    E509 = (
        "Expected [training.train_corpus] to name a corpus of the config, on whose texts "
        "spacy-charlm.LogisticRegression.v1 fits a text classifier, but found none: {reason}. Add "
        "the section, or leave out the block [initialize.after_init.fit]."
    )
    E510 = (
        "Expected texts in '{path}' of which some have a label and some do not, but found in "
        "{n} texts the categories {found} (and how many texts with a vector have them). Give "
        "labelled texts of two classes or more, in the language of the vectors."
    )
    E511 = (
        "`vectors` of spacy-charlm.LogisticRegression.v1 gives words and bigrams weights of their "
        "own, for which the model of '{name}' has no place. Set `ngram_weights` to true in "
        "[components.{name}.model], or `vectors` to null."
    )
    E520 = (
        "Expected to write '{path}', but it failed ({reason}). Make room, change the permissions, "
        "or give another folder. Existing files are unchanged."
    )
    E521 = (
        "Expected a whole checkpoint at '{path}', but found something else: {reason}. Remove "
        "{name} to resume from the one before it ({older})."
    )
    E522 = (
        "Expected a checkpoint to resume from in '{path}', but found none. Leave out --resume to "
        "start a new run, or give the output folder of the run that was stopped."
    )
    E524 = (
        "Expected a checkpoint that fits the model, but found differences:\n{lines}\nResume with "
        "the config of the original run."
    )
    E525 = (
        "Expected an output folder without a pretraining run, but found {found} in '{path}'. Add "
        "--resume to continue the run, or give another folder."
    )
    E526 = (
        "Expected the config and texts of the run that wrote {path}, but found "
        "differences:\n{lines}\nResume it with its own config and texts. To continue from its "
        "weights with others, start a new folder with --init and its model-last.bin."
    )
    E527 = (
        "Expected at least one Doc in the corpus of [pretraining], but found none. Check its path "
        "and limits."
    )
    E528 = (
        "Expected a batcher with a fixed size in [pretraining.batcher], but found the schedule "
        "'{found}', which would start again in each block of texts. Set `size` to a number."
    )
    E529 = (
        "Expected a tokenizer that can be pickled together with its `vocab`, to send it to other "
        "processes, but found {found}. Leave out --prefetch, or install the code of the tokenizer "
        "as a package."
    )
    E530 = (
        "Expected workers to last until the next checkpoint, but {n} were lost in a row: {reason} "
        "Use smaller batches, which need less memory, and add --resume to continue in {path}."
    )
    E531 = (
        "Expected to be alone in the folder '{path}', but found another run: {found}. Wait until "
        "it ends, stop it, or give another folder. Nothing has been changed."
    )
    E540 = "Expected `{name}` to be one of {expected}, but found '{found}'."
    E541 = "Expected {expected}, but found {found}. Change or leave out one of the two."
    E542 = (
        "Expected a component with a tok2vec, whose embed layer can be replaced, but found {found}."
    )
    E543 = (
        "Expected one component with a tok2vec, but found several: {names}. Choose one by "
        "--component."
    )
    E544 = (
        "Expected [{where}] to be spacy.Tok2Vec, with the blocks `embed` and `encode`, or "
        "spacy.HashEmbedCNN, but found {found}. Write the tok2vec in one of these ways."
    )
    E545 = (
        "Expected to move the tok2vec of '{component}' into a component '{shared}', but found that "
        "the config has a component of that name. Let '{component}' listen to it."
    )
    E546 = (
        "Expected every variable of the config to have a value, but found others once the embed "
        "layer was replaced: {reason} Replace them by values."
    )
    E547 = (
        "Expected the first line of '{path}' to be a comment with the command that writes it, but "
        "found {found!r}. Write the config without --again."
    )
    E550 = (
        "Expected an array of finite floats in {where}, but found {found}. The file is damaged, or "
        "its training failed; use another one."
    )
    E551 = (
        "Expected the weights of a head, as `charlm pretrain` writes them, in {path}, but found "
        "something else: {reason}. Give the head-last.bin or head-best.bin of the pretraining."
    )
    E552 = (
        "Expected a file of misspellings at '{path}', but found {found}. Each of its lines has a "
        "misspelling, a tab and the correct word."
    )
    E553 = (
        "Expected a whole file of spaCy vectors at '{path}', but found damage or something else "
        "({reason}). Copy the folder again, or write it with: python -m spacy init vectors LANG "
        "FILE FOLDER"
    )
    E554 = (
        "Expected the words, vectors and head of charlm_lmfao in {path}, but found damage or "
        "something else ({reason}). Copy or save the pipeline again."
    )
    E555 = (
        "Expected quantised arrays, as `charlm quantize` writes them, in {path}, but found "
        "something else: {reason}. The file is damaged: quantise the pipeline again."
    )
    E556 = (
        "Expected a new or an empty folder at '{path}', but found files. Remove them, or give "
        "another folder."
    )
    E557 = (
        "Expected to read the parameter {param} of the layer {layer} in '{name}' back from the "
        "quantised pipeline, but found another one. This component cannot be quantised: remove it "
        "from the pipeline, or use the pipeline as it is."
    )
    E560 = (
        "Expected `{name}` of {part} to be {expected}, but found {found!r}. Correct it; "
        "docs/reference.md lists recommended values."
    )
    E561 = (
        "Expected `{name}` of {part} to be a block of its own with a line such as {example}, but "
        "found {found!r}. Write a section of that name."
    )
    E562 = (
        "Expected at most {most:,} parameters in {part}, but its settings ask for {found:,}, most "
        "of them because of {name}. Use smaller values."
    )
    E575 = (
        "Expected a corpus to estimate total_steps from, built by spacy-charlm.TextCorpus.v1, but "
        "found {found}. In [pretraining.optimizer.learn_rate] set total_steps to the number of "
        "updates of the run."
    )
    E576 = (
        "Expected {name} of {lowest} or more, but found {value}. Change it in "
        "[pretraining.optimizer.learn_rate]."
    )
    E577 = (
        "Expected a batcher that counts words, {expected}, to estimate total_steps, but found "
        "{found}. In [pretraining.optimizer.learn_rate] set total_steps to the number of updates "
        "of the run."
    )
    E571 = (
        "Expected a text classifier that can be calibrated, but found the components {names}. Set "
        '@architectures of its model to "spacy-charlm.TextCatMean.v1", or set '
        "training.before_to_disk = null."
    )
    E572 = (
        "Expected a pipeline that gives each text categories, but found the components {found}. "
        "Add a textcat."
    )
    E573 = (
        "Expected texts in '{path}' with the categories of the pipeline, {expected}, but found "
        "only {found}. Give texts with the labels that the pipeline was trained on."
    )
    W508 = (
        "Expected training texts of at least two classes of '{name}', to start it from a logistic "
        "regression, but found fewer. It starts as without one."
    )
    W520 = (
        "A worker was lost ({reason}). All workers restart from the last checkpoint and repeat the "
        "updates after it."
    )
    W521 = (
        "Expected one step of a run per line in '{path}', but found {n} damaged lines, the first "
        "of which is line {first}. They are skipped."
    )
    W522 = (
        "None of the hidden words of the development texts has a target, so there is no "
        "development loss, and model-best.bin is not written. Use more texts, or vectors of the "
        "same kind of words."
    )
    W523 = (
        "Expected to lock the folder '{path}', but its file system does not allow it ({reason}). "
        "Make sure that no other run writes to this folder."
    )

    # E6xx: commands, evaluation and optional packages (cli/, evaluation/, report/, runs/)
    E601 = (
        "Expected the package '{package}', which this needs: {what}. Install it with: python -m "
        "pip install 'spacy-charlm[{extra}]'"
    )
    E610 = (
        "Expected --component to name a component with a tok2vec, but '{component}' is not one of"
        " {names}. A config with a tok2vec of its own calls it 'tok2vec'."
    )
    E611 = (
        "Expected a layer that gives each token a vector, but {where} {found}. Choose another "
        "component with --component, or a layer in it with --layer."
    )
    E612 = "Expected --task to be one of {tasks}, but found '{found}'."
    E613 = (
        "Expected a file of labelled texts ({formats}) at '{path}', but found {found}. Check the "
        "path, or convert the file, for example with: python -m spacy convert"
    )
    E614 = (
        "Expected a record with text and label in '{path}', line {line}, but found {found}. A "
        'valid line: {{"text": "It works.", "label": "pos"}}.'
    )
    E615 = (
        "Expected labels for the task '{task}' in '{path}', but found {found}. Categories come "
        "from doc.cats or from 'label' in .jsonl; entities, tags and parts of speech come from a "
        ".spacy file. Set --task to cats, ents, tag or pos."
    )
    E616 = (
        "Expected one true category per text in '{path}', but found {found} in text {number}. The"
        " probe needs exclusive classes: keep one category per text."
    )
    E617 = "Expected at least {expected} {what}, but found {found}."
    E618 = (
        "Expected at least two labels that occur twice or more among the {n} drawn, but found "
        "{found}. Increase --n-labels, or check that the file has more than one class."
    )
    E619 = (
        "Expected either a file of development texts (--dev) or the number of texts to take from "
        "the training file (--n-dev), but found {found}."
    )
    E620 = (
        "Expected a pipeline with a tok2vec, but found the components {names}. Add a tok2vec, or "
        "pass a layer that gives each token a vector as `tok2vec`."
    )
    E621 = (
        "Expected a sequence of strings in `{name}`, but found the string {found}. Put it in a "
        "list."
    )
    E622 = "Expected the level 'text' or 'token', but found {found}."
    E640 = (
        "Expected the log of a pretraining run at '{path}', but found nothing. Give the log.jsonl"
        " of `charlm pretrain` or `spacy pretrain`, or its folder."
    )
    E642 = (
        "Expected at least one step in the log '{path}', but found none. A run writes its first "
        "line after some minutes: wait for it, or give the log of another run."
    )
    E643 = "Expected --output to end in one of {formats}, but found '{path}'. Change the ending."
    E644 = (
        "Expected --config together with settings to override, but found {found} without it. Add "
        "--config and the path of the config, or remove the settings."
    )
    E645 = (
        "Expected {package}{wanted}, but found {found}. Install a version that this package is "
        "tested with: python -m pip install -U '{package}{wanted}'"
    )
    E646 = (
        "Expected at most one CuPy, but found {found}. They write into the same folder and break "
        "each other. Remove all and install one: python -m pip uninstall -y {names} && python -m "
        "pip install '{install}'"
    )
    E647 = (
        "Expected CuPy to find the graphics card ({card}, driver {driver}), but {cupy} does not. "
        "Its CUDA is newer than the driver, or libraries are missing. Replace it with the one for"
        " the driver: python -m pip uninstall -y {name} && python -m pip install '{install}'"
    )
    E648 = (
        "Expected an optimizer that steps its own schedule in [pretraining.optimizer], but found "
        "{found} with the learning rate {schedule}. `spacy pretrain` never steps it, so the rate "
        "keeps its first value, which is zero in a warm-up. Set @optimizers to "
        '"spacy-charlm.Adam.v1", which has the settings of Adam.v1.'
    )
    E660 = (
        "Expected texts with labels that the pipeline can be scored on in '{path}', but found "
        "{found}. Give a .spacy file with the labels of its components."
    )
    E661 = (
        "Expected a trained pipeline at '{path}', but found {found}. Give a folder from `spacy "
        "train`, or the name of an installed package."
    )
    E662 = (
        "Expected a config in '{path}', but found something else: {reason} Give a .cfg file, such "
        "as `charlm init` writes."
    )
    E663 = (
        "Expected to override settings that {path} or spaCy has, but found '{found}', which "
        "nothing would read. Did you mean one of these? {expected}"
    )
    E664 = (
        "Expected a GPU with the number {gpu_id}, but found: {found}. `python -m spacy charlm "
        "doctor` says what is missing; leave out --gpu-id to use the CPU."
    )
    E665 = (
        "Expected words to find neighbours of, but found {found!r}. Leave it out; a shell makes an "
        "empty word of an unset variable in quotes."
    )
    E670 = (
        "Expected one of these names in {where} of '{path}': {expected}, but found '{found}'. "
        "Correct the name."
    )
    E671 = (
        "Expected rows to run in '{path}', but found: {found}. Patterns such as 'CharCNN/*' choose "
        "rows by their names."
    )
    E672 = (
        "Expected an existing config for the row '{row}' of '{path}', but found: {found}. Set "
        "`config` in the row or in its group; relative paths start at the current folder."
    )
    E673 = "Expected `command` of a group of rows to be one of: {expected}, but found '{found}'."
    E674 = (
        "Expected the files that the run '{row}' reads to exist, but these do not: {found}. Create "
        "them, or correct the paths; relative paths start at the current folder."
    )
    E675 = (
        "Expected a valid config for the row '{row}', but found: {found}. Nothing has been run. "
        "Correct the config, or the `settings` and `blocks` of the row and its group."
    )
    E676 = (
        "Expected the settings of the row '{row}' to exist in '{config}', but found '{found}'. "
        "Correct the name; a block of `blocks` adds settings that the config does not have."
    )
    E677 = "Expected {expected} in {where} of '{path}', but found: {found}. Correct the file."
    E678 = (
        "Expected the trials in '{path}' to be those of this search, but they differ in: "
        "{changed}. Choose another output folder, or remove the file and the trials beside it."
    )
    E679 = (
        "Expected the metric of the search '{row}' to be one of the pipeline's scores: {expected}, "
        "but found '{found}'."
    )
    E680 = "Expected --parts to be among {expected}, but found {found}. Separate several by commas."
    E681 = (
        "Expected the marks {expected} in '{path}', but found none. Add them where the table "
        "should be."
    )
    W640 = (
        "Found a graphics card ({card}) but no CuPy, so everything runs on the CPU. To use the "
        "card: python -m pip install '{install}', and then --gpu-id 0. Do not install "
        "spacy[cuda...], which may bring an old CuPy that downgrades NumPy to 1.26."
    )
    W641 = (
        "Found NumPy {numpy} with {cupy}, which does not work with NumPy 2. Replace the old CuPy:"
        " python -m pip uninstall -y {name} && python -m pip install -U '{install}' 'numpy>=2'"
    )
    W642 = (
        "Expected at most as many threads as usable cores ({cores}), but found {found}. More "
        "threads slow each other down: set OPENBLAS_NUM_THREADS and OMP_NUM_THREADS to {cores} or"
        " less."
    )
    W643 = (
        "Found that NumPy's BLAS is {ratio:.1f} times as fast as BLIS, which thinc uses "
        "({numpy:.0f} and {blis:.0f} GFLOP/s). To use NumPy's, add a block [nlp.before_creation] "
        'with @callbacks = "spacy-charlm.use_blas.v1".'
    )
    W644 = (
        "Found a graphics card ({card}) but PyTorch {torch} without CUDA, so transformers run on "
        "the CPU. Install PyTorch for CUDA: https://pytorch.org/get-started"
    )
    W650 = (
        "Found {reader} in [{section}], which {troubles}. Set @readers to "
        '"spacy-charlm.TextCorpus.v1", which splits long texts and drops none.'
    )
    W651 = (
        "Expected settings that spaCy knows in [{section}], but found {found}. spaCy ignores "
        "them: correct or remove them. Known settings: {known}"
    )
    W652 = (
        "Found spacy.MishWindowEncoder in [{section}]. It has no padding between texts, so the "
        "vectors of a text depend on the other texts of the batch. Set @architectures to "
        '"spacy.MaxoutWindowEncoder.v2" and maxout_pieces to 3.'
    )
    W653 = (
        "Found spacy.CharacterEmbed in [{section}]. If a byte occurs twice in a text, only its "
        "last gradient counts. To learn from every occurrence, set @architectures to "
        '"spacy-charlm.CharCNN.v1".'
    )
    W654 = (
        "Found the shared tok2vec '{component}', but no listener in the model of {others}, so it "
        "has no effect there. Set the `tok2vec` of such a model to "
        '@architectures = "spacy.Tok2VecListener.v1". spacy.TextCatBOW has no tok2vec: make it the '
        "`linear_model` of a spacy.TextCatEnsemble.v2."
    )
    W655 = (
        "Found {found} in [{section}]. It learns only from the 15 % of words that are hidden, and"
        " the loss that spaCy prints is that of all words. To learn from all words, set "
        '@architectures to "spacy-charlm.LMAO.v1".'
    )
    W660 = (
        "Found a warm-up of {warmup:,} updates in [pretraining.optimizer.learn_rate], but the run "
        "has only about {updates:,} updates, so the learning rate stays too low and little is "
        "learned. Set @schedules, total_steps and warmup_steps as `charlm init` writes them, or "
        "lower both numbers."
    )
    W661 = (
        "Found a learning rate in [pretraining.optimizer.learn_rate] that reaches zero after "
        "{total:,} updates, but the run has about {updates:,} updates. Weights are best where the "
        "rate ends at zero. Set @schedules and total_steps as `charlm init` writes them, or set "
        "total_steps to the updates of the run."
    )

    # E7xx: noise, decoding and components (noise/, decoding/, pipeline/)
    E700 = "Expected the rate of typos to be between 0 and 1, but found {found}."
    E701 = (
        "Expected kinds of typos among {expected}, but found {found}. The kind 'natural' also "
        "needs a file of misspellings."
    )
    E702 = "Expected the keyboard to be one of {expected}, but found '{found}'."
    E703 = (
        "Expected a misspelling, a tab and the correct word in '{path}', line {line}, but found "
        "{found!r}."
    )
    E705 = "Expected the unit of the rate, `per`, to be {expected}, but found '{found}'."
    E706 = (
        "Expected kinds of typos within words, but found '{found}': a masking keeps the tokens. "
        "Remove it, or use it in the augmenter spacy-charlm.typo_augmenter.v1."
    )
    E708 = (
        "Expected misspellings of single words in '{path}', but found none for this share of the "
        "correct words. Add more words, or remove the kind 'natural'."
    )
    E720 = (
        "Expected a table of vectors with rows and columns, but found one of shape {found}. Check "
        "the file that the vectors come from."
    )
    E721 = (
        "Expected finite numbers in the table of vectors, but found others in {n} rows, the first "
        "of which is row {row}. Leave these rows out."
    )
    E722 = (
        "Expected vectors of width {expected}, that of the table, but found width {found}. Use the "
        "table that the weights were pretrained on. Targets of several vectors per token, such as "
        "NgramVectors, have no such table."
    )
    E723 = "Expected at least 1 neighbour to look for, but found {found}."
    E724 = (
        "Expected weights that describe a whole tok2vec, but found in '{path}': {reason}. `python "
        "-m spacy charlm inspect` shows what they contain."
    )
    E725 = (
        "Expected a table with a word for each row, but found floret vectors in '{path}', which "
        "have none. Give a GloVe text file, or vectors in default mode."
    )
    E726 = (
        "Expected floret vectors in '{path}', but found vectors in the mode {found}. "
        "scripts/train_vectors.py trains some."
    )
    E727 = (
        "Expected words, one per line, that the model's tokenizer can split into known pieces, but "
        "found none in {n} lines."
    )
    E728 = (
        "Expected an index of neighbours in '{path}', but found: {found}. Save the pipeline again "
        "from the one that it was copied from."
    )
    E729 = (
        "Expected a share of words to hide above 0 and up to 1, and several texts with words of "
        "the table, but found {found}. Give more text, or text in the language of the table."
    )
    E730 = (
        "Expected words of the table to fit a readout on, but found none: all of the {words} "
        "words are held out, or n_fit is {n_fit}. Hold out fewer words, or increase n_fit."
    )
    E731 = (
        "Expected the embed layer spacy-charlm.CharCNN.v1 in '{path}', because --chars reads its "
        "convolutions, but found '{found}'. Leave out --chars."
    )
    E740 = (
        "Expected charlm_lmao to have a weight above 0, and `every` and `words` of at least 1, but "
        "found weight = {weight}, every = {every}, words = {words}."
    )
    E741 = (
        "Expected charlm_lmao to have texts to learn from, but found no corpus and training_docs = "
        "false. Set training_docs = true, or write [components.charlm_lmao.corpus] with @readers = "
        '"spacy-charlm.TextCorpus.v1".'
    )
    E742 = (
        "Expected the component '{component}' before {name} in the pipeline, but found {names}. "
        "Give the name of the component with the tok2vec, and place {name} after it."
    )
    E743 = (
        "Expected a layer '{layer}' in the component '{component}', but found {refs}. For a "
        'tok2vec component the layer is ""; for a component with its own tok2vec it is "tok2vec".'
    )
    E744 = (
        "Expected '{component}' to have a tok2vec of its own, but found a listener. Give the name "
        "of the tok2vec component that it listens to."
    )
    E745 = (
        "Expected charlm_lmfao to have the head of a pretraining and the table that it predicts, "
        "but found head = {head}, vectors = {vectors}. In [initialize.components.charlm_lmfao] set "
        'head = "pretrain/head-last.bin" (from `charlm pretrain`) and vectors = "vectors.txt".'
    )
    E746 = (
        "Expected [MASK] in the text, but found none in {text!r}. Write for example: The film was "
        "[MASK]."
    )
    E747 = (
        "Expected either csls or approximate for charlm_lmfao, but found both. The correction for "
        "hubs needs the exact search: set approximate = false."
    )
    E748 = (
        "Expected a pipeline with the component charlm_lmfao at '{path}', but found these "
        "components: {found}. configs/words.cfg shows how to assemble such a pipeline."
    )
    E749 = (
        "Expected the component '{component}' to have a tok2vec, but found one without a model. "
        "Give the name of the component with the tok2vec."
    )
    E750 = (
        "Expected words in the corpus of {name}, but a whole pass over it yielded none. Check the "
        "path in [components.{name}.corpus]."
    )
    E752 = (
        "Expected Docs of the pipeline that {name} was created for, but found those of another "
        "one. A component that was copied by `source` would use the other pipeline's tok2vec. Save "
        "the pipeline and load it."
    )
    E753 = (
        "Expected a tok2vec of width {expected}, that of the head's pretraining, but found width "
        "{found}. Use the head that was saved with the weights."
    )
    E754 = "Expected the index_dtype of charlm_lmfao to be {expected}, but found '{found}'."
    E760 = (
        "Expected the labels of {name} to be a list of names such as PERSON, but found {found!r}. "
        "Correct `labels` in [initialize.components.{name}], or leave it out to read the labels "
        "from the training texts."
    )
    E761 = (
        "Expected entities in the training texts of {name}, to read its labels from, but found "
        "none. Give texts with entities, or set `labels` in [initialize.components.{name}]."
    )
    E762 = (
        "Expected entities with the labels of {name}, {expected}, but found '{found}' in the text "
        "that begins {text!r}. Initialise the component with all labels, or correct the text."
    )
    E763 = (
        "Expected the labels of {name} before its model is initialised, but found the new label "
        "'{found}'. The number of tags is fixed from then on: create a new component."
    )
    E764 = (
        'Expected a model of the architecture "spacy-charlm.CRF.v1" in {name}, but found the model '
        "'{found}'. Set @architectures in [components.{name}.model]."
    )
    E765 = (
        "Expected `nO` of spacy-charlm.CRF.v1 to be one more than four times the number of labels, "
        "but found {found}. Leave it out: the component sets it."
    )
    E766 = (
        "Expected a component charlm_ner, whose entities can be tuned, but found the components "
        "{names}. Add one, or remove spacy-charlm.tune_entities.v1 from training.before_to_disk."
    )
    E767 = (
        "Expected finite scores in {name}, but found nan or infinity. Lower the learning rate, or "
        "clip gradients (grad_clip = 1.0 in [training.optimizer])."
    )
    E790 = (
        "Expected misspellings of single words in '{path}', but found none for 80 % of the correct "
        "words. Add more words, or set misspellings = null in [initialize.components.{name}]."
    )
    # E80x: entities of raw text (training/pseudo_entities)
    E800 = (
        "Expected at least one trained pipeline to find entities with, but found none. Give the "
        "folders of pipelines, such as training/model-best."
    )
    E801 = (
        "Expected exactly one component that sets entities in the pipeline '{path}', charlm_ner or "
        "spaCy's ner, but found the components {found}. Give another pipeline, or remove the other "
        "components from it."
    )
    E802 = (
        "Expected the same {what} in all pipelines, {expected}, but found {found} in '{path}'. "
        "Give pipelines that were trained on the same texts with different seeds."
    )
    E803 = (
        "Expected all pipelines to split a text into the same tokens, but found {n} tokens by "
        "'{first}' and {found} by '{path}' in the text that begins {text!r}. Give pipelines with "
        "the same tokenizer."
    )
    E804 = (
        "Expected texts with entities in '{path}', but found none in {n:,} texts. Give a .spacy "
        "file of annotated texts."
    )
    E805 = (
        "Expected entities with the labels of the pipelines, {expected}, in '{path}', but found "
        "also {found}. Train the pipelines on these texts first."
    )
    W700 = (
        "{n} entities and spans dropped so far: after typos, there was no token boundary at one of "
        "their ends."
    )
    W750 = (
        "{name} has no effect, because '{component}', whose tok2vec it trains, is frozen. Remove "
        "it from frozen_components, or remove {name} from the pipeline."
    )
