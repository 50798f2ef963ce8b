"""Take a competition of two stages to its end: freeze the first, bring the second from audit to final."""
