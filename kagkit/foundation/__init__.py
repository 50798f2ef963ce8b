"""What every wing stands on: errors, files, strict YAML, reading source, seeds, the machine."""
