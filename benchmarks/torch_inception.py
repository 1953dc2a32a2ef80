"""Features by torch-fidelity's Inception network, see `inception_features`."""

from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from torch_fidelity import feature_extractor_inceptionv3 as theirs


def features(images: np.ndarray, layout: str) -> Callable[[], object]:
    memory_format = getattr(torch, layout)
    with (
        mock.patch.object(theirs, "load_state_dict_from_url"),
        mock.patch.object(theirs.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = theirs.FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"])
    network = network.to(memory_format=memory_format)
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().split(32)

    def extract() -> None:
        with torch.no_grad():
            for batch in batches:
                network(batch.contiguous(memory_format=memory_format))

    return extract
