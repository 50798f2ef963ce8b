"""Score a submission against the hidden solution, and tell a participant's fault from the host's."""

from __future__ import annotations

import gzip
import json
import math
import sys
import traceback
import zipfile
import zlib
from collections.abc import Callable
from decimal import ROUND_DOWN, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.component import import_function
from kagkit.foundation.errors import SubmissionError
from kagkit.foundation.files import CHUNK, write_json
from kagkit.host.solutions import USAGE
from kagkit.host.terms import HostStage, Terms, read_terms
from kagkit.host.uploads import uploaded_file
from kagkit.metrics import is_readable

if TYPE_CHECKING:
    import pandas as pd

GENERIC = "An unexpected error occurred while scoring. The host has been told."
ROW_ID = "row_id"
# A zip with a password raises a RuntimeError, pandas a ValueError.
UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
_DIGITS = Context(prec=400)  # the largest double has 309 before its point


class RefusedSubmissionError(SubmissionError):
    """A submission cannot be scored, for a reason its participant may read."""


def cut_score(value: float) -> str:
    """A score as Kaggle writes it: cut, not rounded, to five decimals.

    Example:
        >>> cut_score(0.999999), cut_score(-1.5), cut_score(1e-7)
        ('0.99999', '-1.50000', '0.00000')
    """
    cut = Decimal(repr(value)).quantize(Decimal("0.00001"), ROUND_DOWN, _DIGITS)
    return str(abs(cut) if cut == 0 else cut)


def grade(argument: str) -> int:
    """Score one submission in this process and leave the outcome; what an engine's job calls.

    Args:
        argument: JSON: `root`, the host's folder; `stage`; `token`, the uploaded file; `outcome`, where the
            scores go, or under `error` why there are none.

    Returns:
        0 where the outcome is written, whatever it is.
    """
    task = json.loads(argument)
    root = Path(task["root"])
    terms = read_terms(root)
    outcome: dict[str, Any]
    try:
        outcome = dict(
            score_file(root, terms, terms.stages[task["stage"]], uploaded_file(root, task["token"]))
        )
    except RefusedSubmissionError as error:
        outcome = {"error": error.summary}
    except Exception:
        sys.stdout.flush()
        traceback.print_exc()
        outcome = {"error": GENERIC}
    write_json(Path(task["outcome"]), outcome)
    return 0


def score_file(root: Path, terms: Terms, stage: HostStage, path: Path) -> dict[str, float]:
    """The scores of a file on the public and on the private rows.

    Args:
        root: The host's folder, from which the metric is imported.
        terms: The competition.
        stage: The stage whose solution counts.
        path: The submission.

    Returns:
        `public` and `private`.

    Raises:
        RefusedSubmissionError: The file is no submission to this solution, in words a participant may read.
    """
    solution = read_solution(root / stage.solution, terms)
    answer = aligned(solution, read_answer(path, terms), terms)
    function = import_function(root, terms.metric.score)

    def score(chosen: Any) -> float:
        truth = solution.drop(columns=USAGE)[chosen].reset_index(drop=True)
        guess = answer[chosen].reset_index(drop=True)
        truth, guess, row_id = (*_with_row_id(truth, guess, terms),)
        return float(function(truth, guess, row_id, **terms.metric.args))

    scores = {}
    for mark in ("Public", "Private"):
        try:
            value = score(solution[USAGE] == mark)
        except Exception as error:
            words = visible_words(error)
            if words is None:
                raise
            # What is wrong with these rows alone would tell which rows they are.
            raise RefusedSubmissionError(_words_on_all(score, len(solution)) or words) from error
        if not math.isfinite(value):
            sys.stderr.write(f"the metric gave {value} on the {mark} rows\n")
            raise RefusedSubmissionError("Evaluation Exception: the metric gave no finite number.")
        scores[mark.lower()] = value
    return scores


def _words_on_all(score: Callable[[Any], float], rows: int) -> str | None:
    """What a participant may read where public, private and ignored rows are scored as one."""
    try:
        score([True] * rows)
    except Exception as error:
        return visible_words(error)
    return None


def visible_words(error: Exception) -> str | None:
    """What a participant may read of an error; None where it is the host's business.

    The metric says so itself by Kaggle's `ParticipantVisibleError`; of kagkit's own metrics, what is found
    in the submission may be read, never what is found in the solution.
    """
    if not is_readable(error):
        return None
    if not isinstance(error, SubmissionError):
        return str(error)
    told = "; ".join(f"{problem.where}: {problem.found}" for problem in error.problems)
    return f"Evaluation Exception: {told or error.summary}"


def read_solution(path: Path, terms: Terms) -> pd.DataFrame:
    """The truth: key columns as text, targets as pandas reads them, and the marks."""
    import pandas as pd

    columns = [*terms.submission.key, *terms.submission.target, USAGE]
    text = dict.fromkeys([*terms.submission.key, USAGE], "str")
    table = pd.read_csv(
        path, dtype=text, encoding="utf-8-sig", keep_default_na=False, na_values=_blanks(terms)
    )
    solution: pd.DataFrame = table.rename(columns=str.strip)[columns]
    return solution


def read_answer(path: Path, terms: Terms) -> pd.DataFrame:
    """A submission: key columns as text, targets as pandas reads them.

    Raises:
        RefusedSubmissionError: It is no CSV file, or lacks a column.
    """
    import pandas as pd

    options: dict[str, Any] = {"encoding": "utf-8-sig", "keep_default_na": False}
    try:
        options["compression"] = _packing(path, terms.limits.upload_mb * 1_000_000)
        header = list(pd.read_csv(path, nrows=0, **options).columns)
        text = {name: "str" for name in header if name.strip() in terms.submission.key}
        # index_col=False would drop surplus cells without a word.
        table = pd.read_csv(path, dtype=text, na_values=_blanks(terms), **options)
    except pd.errors.EmptyDataError:
        raise RefusedSubmissionError("ERROR: The submission is empty.") from None
    except UnicodeDecodeError:
        raise RefusedSubmissionError("ERROR: The submission is not text in UTF-8.") from None
    except UNREADABLE as error:
        found = str(error).splitlines()[0].replace(str(path), "the file")
        raise RefusedSubmissionError(f"ERROR: The submission cannot be read as CSV: {found}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise RefusedSubmissionError("ERROR: Some lines have more cells than the header.")
    table = table.rename(columns=str.strip)
    wanted = [*terms.submission.key, *terms.submission.target]
    for name in wanted:
        if name not in table.columns:
            raise RefusedSubmissionError(f"ERROR: Required column ({name}) could not be found")
    answer: pd.DataFrame = table[wanted]
    return answer


def _packing(path: Path, limit: int) -> str | None:
    """How a file is packed, which must not hold more than may be uploaded.

    Raises:
        RefusedSubmissionError: It does: it would fill the host's memory.
    """
    with path.open("rb") as stream:
        start = stream.read(2)
    if start not in (b"PK", b"\x1f\x8b"):
        return None
    size = 0
    if start == b"PK":
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
    else:
        with gzip.open(path) as source:
            while size <= limit and (piece := source.read(CHUNK)):
                size += len(piece)
    if size > limit:
        raise RefusedSubmissionError(f"ERROR: The submission holds more than {limit:,} bytes.")
    return "zip" if start == b"PK" else "gzip"


def _blanks(terms: Terms) -> dict[str, list[str]]:
    """Which cells are empty; in key columns none is, for "NA" may be an id."""
    return {target: ["", "NaN", "nan", "NA", "N/A", "null", "None"] for target in terms.submission.target}


def aligned(solution: pd.DataFrame, answer: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """The submission's rows in the solution's order, joined by key.

    Raises:
        RefusedSubmissionError: Rows, ids or values are missing, twice or too much: in Kaggle's words.
    """
    import pandas as pd

    key, told = list(terms.submission.key), ", ".join(terms.submission.key)
    if len(answer) != len(solution):
        raise RefusedSubmissionError(f"Evaluation Exception: Submission must have {len(solution)} rows")
    wanted, given = pd.MultiIndex.from_frame(solution[key]), pd.MultiIndex.from_frame(answer[key])
    if given.has_duplicates:
        line = int(given.duplicated().argmax())
        value = _spelled(given[line])
        raise RefusedSubmissionError(
            f"ERROR: The value '{value}' in the key column '{told}' "
            f"has already been defined (Line {line + 2})"
        )
    missing = wanted.difference(given, sort=False)
    if len(missing):
        words = (
            f"Unable to find the required key value '{_spelled(missing[0])}'"
            if len(missing) == 1
            else f"Unable to find {len(missing)} required key values"
        )
        raise RefusedSubmissionError(f"ERROR: {words} in the '{told}' column")
    ordered = answer.iloc[given.get_indexer(wanted)].reset_index(drop=True)
    empty = ordered[list(terms.submission.target)].isna()
    if empty.to_numpy().any():
        columns = ", ".join(empty.columns[empty.any()])
        raise RefusedSubmissionError(f"Evaluation Exception: Submission contains null values ({columns})")
    return ordered


def _spelled(key: Any) -> str:
    return "_".join(map(str, key))


def _with_row_id(
    truth: pd.DataFrame, guess: pd.DataFrame, terms: Terms
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Both tables with one id column, as Kaggle's signature has it; several key columns are joined by `_`."""
    key = list(terms.submission.key)
    if len(key) == 1:
        return truth, guess, key[0]
    tables = []
    for table in (truth, guess):
        joined = table.drop(columns=key)
        joined.insert(0, ROW_ID, table[key].agg("_".join, axis=1))
        tables.append(joined)
    return tables[0], tables[1], ROW_ID
