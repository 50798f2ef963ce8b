"""Deal with a host through the kaggle client, and be a host that this client can talk to."""
