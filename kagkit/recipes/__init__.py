"""Start workspaces from the host's tables, and keep the recipes that are copied into them."""
