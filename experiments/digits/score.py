"""Score a submission as the host does, by the solution that only the host has."""

import sys

import pandas as pd

from kagkit.metrics import accuracy

solution, submission = pd.read_csv("data/solution.csv"), pd.read_csv(sys.argv[1])
print(f"accuracy on the hidden labels: {accuracy(solution, submission, 'ImageId'):.5f}")
