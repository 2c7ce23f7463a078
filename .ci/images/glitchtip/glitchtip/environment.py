"""Reads variables the way the application does."""

import os


def read(name, default=""):
    """The variable, or the content of the file that NAME_FILE names."""
    if f"{name}_FILE" in os.environ:
        with open(os.environ[f"{name}_FILE"], encoding="utf-8") as file:
            return file.read()
    value = os.environ.get(name, default)
    if isinstance(value, str) and value.startswith("$"):
        # A reference to another variable, though nobody meant one.
        return os.environ.get(value[1:], default)
    return value


def read_bool(name, default):
    value = read(name, "")
    return default if value == "" else value.lower() in ("true", "on", "ok", "y", "yes", "1")
