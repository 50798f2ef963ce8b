"""Make what is handed over: a submission with its provenance."""
