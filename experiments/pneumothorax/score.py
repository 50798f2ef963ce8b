"""Score a submission as the host does, by the solution that only the host has."""

import sys

import pandas as pd

from kagkit.metrics import mean_dice

solution, submission = pd.read_csv("data/solution.csv"), pd.read_csv(sys.argv[1])
score = mean_dice(solution, submission, "ImageId", shape=(48, 48), dialect="relative")
print(f"mean Dice on the hidden masks: {score:.5f}")
