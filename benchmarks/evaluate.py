"""How well bounces, complaints and replies are read: `python -m benchmarks.evaluate [CORPUS_DIR]`.

Always scored: tests/data/dsn, whose truth is exact, but whose wordings the rules have been fitted
to. The corpus is no part of the repository: a directory with manifest.json (samples: id, path, kind
and per recipient address, status, class, permanent, hard), the sample mails, and replies.json
(reply, cls, hard). It is named by the argument or by MTA_CORPUS. The predictions are made by
`mta reports parse --json` and `mta classify --json`, the commands that everybody runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
MTA = Path(sys.executable).with_name("mta")
BATCH = 500
OWN = Path(__file__).parents[1] / "tests" / "data" / "dsn"
NONE: Json = {"kind": "none", "recipients": [], "feedback_type": ""}


def main() -> int:
    arguments = read_arguments()
    corpus = arguments.corpus or os.environ.get("MTA_CORPUS")
    own = own_samples()
    print("Reports of mail servers with exact truth (tests/data/dsn):")
    print_mails(score_mails(own, predict_mails(OWN, own)))
    if not corpus:
        print(
            "\nNo other corpus: none is part of the repository. Name its directory as an argument"
        )
        print("or in MTA_CORPUS; it holds manifest.json, replies.json and the samples.")
        return 0
    print(f"\nCorpus {corpus}:")
    directory = Path(corpus)
    if not (directory / "manifest.json").is_file():
        print(f"{directory}: there is no manifest.json, so this is no corpus.")
        return 2
    samples = json.loads((directory / "manifest.json").read_text())["samples"]
    found = predict_mails(directory, samples)
    if arguments.keep:
        lines = (json.dumps({"id": key, **value}) for key, value in found.items())
        arguments.keep.write_text("".join(f"{line}\n" for line in lines))
    print_mails(score_mails(samples, found))
    if (directory / "replies.json").is_file():
        labelled = [r for r in json.loads((directory / "replies.json").read_text()) if r.get("cls")]
        print_replies(labelled, predict_replies(reply["reply"] for reply in labelled))
    return 0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("corpus", nargs="?", help="directory of the corpus; default $MTA_CORPUS")
    parser.add_argument("--keep", type=Path, help="write the predictions for mails to this file")
    return parser.parse_args()


def own_samples() -> list[Json]:
    """Return the reports in tests/data/dsn as samples of a corpus, each server a corpus."""
    entries: list[Json] = json.loads((OWN / "manifest.json").read_text())
    return [
        {
            "id": entry["file"],
            "path": entry["file"],
            "sha256": entry["file"],
            "corpus": entry["server"],
            "kind": "not-bounce" if entry["kind"] == "success" else "bounce",
            "recipients": [r for r in entry["recipients"] if r["action"] in {"failed", "delayed"}],
        }
        for entry in entries
    ]


def run(arguments: list[str], standard_input: str | None = None) -> Iterator[Json]:
    done = subprocess.run(
        [MTA, *arguments], input=standard_input, capture_output=True, text=True, check=True
    )
    for line in done.stdout.splitlines():
        yield json.loads(line)


def predict_mails(directory: Path, samples: list[Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        paths = [str(directory / sample["path"]) for sample in batch]
        answers = {answer["path"]: answer for answer in run(["reports", "parse", "--json", *paths])}
        for sample, path in zip(batch, paths, strict=True):
            found[sample["id"]] = answers.get(path, NONE)
    return found


def predict_replies(replies: Iterable[str]) -> list[Json]:
    lines = "".join(f"{reply.replace(chr(10), ' ')}\n" for reply in replies)
    return list(run(["classify", "--json"], lines))


def score_mails(samples: list[Json], found: dict[str, Json]) -> dict[str, Counter[str]]:
    """Count right and wrong per corpus; copies of a mail in another corpus count once."""
    scores: dict[str, Counter[str]] = defaultdict(Counter)
    seen: set[str] = set()
    for sample in samples:
        corpus = sample["corpus"]
        if not corpus.endswith("-newlines"):
            if sample["sha256"] in seen:
                continue
            seen.add(sample["sha256"])
        for name in {corpus, "ALL"} if not corpus.endswith("-newlines") else {corpus}:
            score_mail(sample, found[sample["id"]], scores[name])
    return scores


def score_mail(sample: Json, answer: Json, score: Counter[str]) -> None:
    named = {r["address"].lower(): r for r in answer["recipients"] if r.get("address")}
    kind = sample["kind"]
    if kind in {"not-bounce", "autoreply"}:
        score["no bounce"] += 1
        score["false bounce"] += answer["kind"] in {"bounce", "arf"} and bool(named)
        score["false hard"] += any(r.get("hard") for r in named.values())
    elif kind == "arf":
        score["complaint"] += 1
        score["complaint found"] += answer["kind"] == "arf"
    else:
        score_recipients(sample["recipients"], named, score)


def score_recipients(gold: list[Json], named: dict[str, Json], score: Counter[str]) -> None:
    wanted = [r for r in gold if r.get("address") and r.get("class") != "delivered"]
    if not wanted:
        return
    spellings = [{r["address"].lower(), *(a.lower() for a in r.get("alt", []))} for r in wanted]
    score["named"] += len(named)
    score["named right"] += len(named.keys() & set().union(*spellings))
    for truth, names in zip(wanted, spellings, strict=True):
        answer = next((named[name] for name in names if name in named), {})
        score["recipient"] += 1
        score["recipient found"] += bool(answer)
        for field in ("status", "permanent", "class"):
            is_doubtful = field == "class" and bool(truth.get("note"))
            if truth.get(field) not in {None, "", "unknown"} and not is_doubtful:
                score[field] += 1
                score[f"{field} right"] += is_right(answer.get(field), truth, field)
        if truth.get("permanent") is False:
            score["temporary"] += 1
            score["temporary right"] += answer.get("permanent") is False
        if truth.get("hard") is not None:
            count_hard(truth["hard"], bool(answer.get("hard")), score)


def is_right(given: Any, truth: Json, field: str) -> bool:
    """Return whether an answer is the true one, or another that the truth allows.

    Where the truth is the status x.0.0, any status with the same first digit says more.
    """
    wanted = truth[field]
    if field == "status" and wanted.endswith(".0.0") and "status_alt" in truth:
        return bool(given) and given[0] == wanted[0]
    return given == wanted or given in truth.get(f"{field}_alt", ())


def count_hard(truth: bool, answer: bool, score: Counter[str]) -> None:
    score["hard right"] += truth and answer
    score["hard true"] += truth
    score["hard said"] += answer


COLUMNS = (
    ("found", "recipient found", "recipient"),
    ("precision", "named right", "named"),
    ("status", "status right", "status"),
    ("perm/temp", "permanent right", "permanent"),
    ("temporary", "temporary right", "temporary"),
    ("class", "class right", "class"),
    ("hard P", "hard right", "hard said"),
    ("hard R", "hard right", "hard true"),
    ("complaints", "complaint found", "complaint"),
    ("false", "false bounce", "no bounce"),
)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "-"


def print_mails(scores: dict[str, Counter[str]]) -> None:
    print(f"{'mails of':20s}" + "".join(f"{title:>11s}" for title, _, _ in COLUMNS))
    for name, score in sorted(scores.items(), key=lambda item: item[0] == "ALL"):
        cells = (
            f"{score[part]}/{score[whole]}"
            if title in {"complaints", "false"}
            else share(score[part], score[whole])
            for title, part, whole in COLUMNS
        )
        print(f"{name:20s}" + "".join(f"{cell:>11s}" for cell in cells))
    print(f"ordinary mails and automatic replies called hard: {scores['ALL']['false hard']}")


def print_replies(replies: list[Json], answers: list[Json]) -> None:
    score: Counter[str] = Counter()
    for reply, answer in zip(replies, answers, strict=True):
        score["class right"] += answer["class"] == reply["cls"]
        count_hard(bool(reply["hard"]), bool(answer["hard"]), score)
    print(
        f"{len(replies)} reply texts: class {share(score['class right'], len(replies))}, "
        f"suppress precision {share(score['hard right'], score['hard said'])}, "
        f"recall {share(score['hard right'], score['hard true'])}"
    )


if __name__ == "__main__":
    sys.exit(main())
