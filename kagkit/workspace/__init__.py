"""Read what a user wrote: competition.yaml, manifests, recipes, and where everything lies."""
