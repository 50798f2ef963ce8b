"""Deal with a competition's host: fetch its data, submit exactly once, bring the scores home."""
