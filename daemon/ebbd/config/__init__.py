"""ebbd's configuration: one YAML file, every value checked before anything starts.

`parse_config` is pure (text in, `Config` or `ConfigError` out); `load_config` reads the file. No
file means the defaults: one pool on a sparse file of 10 GiB. docs/config.md is the reference.
"""

from ebbd.config.model import (
    ApiConfig,
    Config,
    DefaultsConfig,
    ListenConfig,
    LogConfig,
    LoopConfig,
    LvmConfig,
    MountsConfig,
    NodeConfig,
    PoolConfig,
)
from ebbd.config.parse import ConfigError, load_config, parse_config

__all__ = [
    "ApiConfig",
    "Config",
    "ConfigError",
    "DefaultsConfig",
    "ListenConfig",
    "LogConfig",
    "LoopConfig",
    "LvmConfig",
    "MountsConfig",
    "NodeConfig",
    "PoolConfig",
    "load_config",
    "parse_config",
]
