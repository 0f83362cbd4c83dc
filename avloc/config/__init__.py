"""Configurations: Python syntax that is checked and evaluated as data, never run."""

from avloc.config.loading import Config, dump_config, load_config
