"""The two errors that are a user's to mend; each message names the file or setting, and the remedy."""


class ConfigError(ValueError):
    """A parameter or option that is unknown, of the wrong type, or out of range."""


class DataError(ValueError):
    """A data set that cannot be read as it should be; the message names file, line and remedy."""
