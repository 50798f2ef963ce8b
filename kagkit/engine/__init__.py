"""Start jobs with resources, poll them, cancel them, log them; know nothing of tasks."""
