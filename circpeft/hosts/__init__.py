"""C3A and CDVFT in other training programs: plug-ins for Axolotl and ms-swift, and TRL's command line."""

from .configs import CONFIGS, host_config

__all__ = ["CONFIGS", "host_config"]
