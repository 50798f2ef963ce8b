"""Write scikit-learn's handwritten digits in the file format of Kaggle's Digit Recognizer."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from kagkit.foundation.files import write_file
from kagkit.foundation.seeds import draws

DATA = Path(__file__).parent / "data"
TEST_IMAGES = 500


def write_table(name, table):
    write_file(DATA / name, table.to_csv(index=False, lineterminator="\n"))
    print(f"data/{name}: {len(table):,} rows")


def main():
    digits = load_digits()  # comes with scikit-learn: nothing is downloaded
    pixels = pd.DataFrame(digits.data.astype(int), columns=[f"pixel{place}" for place in range(64)])
    labels = pd.Series(digits.target, name="label")

    # One draw an image, named and hashed: the same split on every machine and with every numpy.
    order = np.argsort(draws([str(image) for image in range(len(labels))], "digits", "split"))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    solution = pd.DataFrame({"ImageId": np.arange(1, TEST_IMAGES + 1), "Label": labels[test].to_numpy()})

    write_table("train.csv", pd.concat([labels[train], pixels.loc[train]], axis=1))
    write_table("test.csv", pixels.loc[test])
    write_table("sample_submission.csv", solution.assign(Label=0))
    write_table("solution.csv", solution)  # a host would hide it; no manifest or recipe may read it


if __name__ == "__main__":
    main()
