"""Score a submission as the host does, by the solution that only the host has: score.py FILE [STAGE]."""

import sys

import pandas as pd

from kagkit.metrics import mean_dice

solutions = {"1": "data/solution.csv", "2": "data/stage_2_solution.csv"}
stage = sys.argv[2] if len(sys.argv) > 2 else "1"
solution, submission = pd.read_csv(solutions[stage]).drop(columns="Usage"), pd.read_csv(sys.argv[1])
score = mean_dice(solution, submission, "ImageId", shape=(48, 48), dialect="relative")
print(f"mean Dice on the hidden masks: {score:.5f}")
