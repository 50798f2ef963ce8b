"""Judge results: compare CV with the leaderboard, find what is wrong before the host does."""
