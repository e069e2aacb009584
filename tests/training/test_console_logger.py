"""The logger whose file can be read during the training."""

import io

import spacy
import srsly
from spacy.util import registry


def test_logger_writes_each_evaluation_at_once(tmp_path):
    path = tmp_path / "new" / "curve.jsonl"
    nlp = spacy.blank("en", config={"training": {"score_weights": {"f": 1.0}}})
    outputs = []
    for name, file in (("spacy-charlm.ConsoleLogger.v1", path), ("spacy.ConsoleLogger.v3", None)):
        output = io.StringIO()
        create = registry.get("loggers", name)
        setup = create(output_file=None if file is None else str(file))
        log, finalize = setup(nlp, output, output)
        for step in (0, 10):
            log(None)
            info = {"epoch": 0, "step": step, "score": step / 20, "losses": {}}
            log({**info, "other_scores": {"f": step / 20, "speed": 7.0, "per_type": {}}})
            if file is not None:
                assert [line["step"] for line in srsly.read_jsonl(file)] == [
                    *range(0, step, 10),
                    step,
                ]
        finalize()
        outputs.append(output.getvalue())
    line = {"epoch": 0, "step": 10, "score": 0.5, "scores": {"f": 50.0, "speed": 7.0}}
    assert list(srsly.read_jsonl(path))[-1] == line
    assert outputs[0] == outputs[1]
