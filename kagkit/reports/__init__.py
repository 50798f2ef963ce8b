"""Show results on pages that stand for themselves: one file, no network, for any screen and for paper."""
