"""Marks for tests of what transformers and PEFT can do only in some versions, or only together."""

import peft
import pytest
import transformers
from packaging.version import Version
from transformers.integrations.peft import MIN_PEFT_VERSION

from circpeft.hf_peft.configs import SAVES_BIASES

needs_saved_biases = pytest.mark.skipif(not SAVES_BIASES, reason=f"peft {peft.__version__} saves no biases")

# Such as `model.add_adapter(config)`. transformers 5.24 asks for PEFT 0.22, which has not been published yet.
needs_adapter_methods = pytest.mark.skipif(
    Version(peft.__version__) < Version(MIN_PEFT_VERSION),
    reason=f"for its own adapter methods, transformers {transformers.__version__} needs peft {MIN_PEFT_VERSION}",
)
