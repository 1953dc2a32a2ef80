"""Make inception_expected.npz, what torch-fidelity and prdc answer, and state_dict*.pth, as PyTorch writes such files.

python -m venv V && V/bin/pip install torch torchvision torch-fidelity==0.4.0 prdc==0.2
V/bin/python tests/examples/inception_expected.py

They need gigabytes, so the tests have what comes out only. Weights, images and features are drawn from seeds, here and
in the tests; of 2048 features and 1008 logits every eighth is kept.
"""

import zlib
from pathlib import Path
from unittest import mock

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
SIZES = (32, 64, 299)


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw one of the network's tensors, so that numbers keep their size from layer to layer."""
    draws = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith(("bn.weight", "running_var")):
        return draws.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith(("bias", "running_mean")):
        return draws.normal(0, 0.1, shape).astype(np.float32)
    return draws.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)


def images(size: int) -> np.ndarray:
    """Draw 16 images: coloured noise, coarse and fine."""
    draws = np.random.RandomState(size)
    coarse = draws.randint(0, 256, (16, 5, 5, 3)).repeat(-(-size // 5), 1).repeat(-(-size // 5), 2)[:, :size, :size]
    return np.clip(coarse + draws.normal(0, 30, coarse.shape), 0, 255).astype(np.uint8)


def features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw two sets of features, and logits."""
    draws = np.random.RandomState(0)
    x, y = draws.normal(size=(300, 24)), draws.normal(0.2, 1.1, size=(260, 24))
    return x, y, draws.normal(0, 3, size=(300, 10))


def main() -> None:
    """Ask the others."""
    import prdc
    import torch
    from torch_fidelity import feature_extractor_inceptionv3
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    names = ["2048", "logits_unbiased", "logits"]
    with (
        mock.patch.object(feature_extractor_inceptionv3, "load_state_dict_from_url"),
        mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = FeatureExtractorInceptionV3("inception", names)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items() if value.dim()}
    drawn = {name: torch.from_numpy(tensor(name, shape)) for name, shape in shapes.items()}
    network.load_state_dict(drawn, strict=False)  # but for counts of batches
    expected = {}
    for size in SIZES:
        with torch.no_grad():
            answers = network(torch.from_numpy(images(size)).permute(0, 3, 1, 2))
        for name, answer in zip(names, answers, strict=True):
            expected[f"{name}_{size}"] = answer.numpy()[:, ::8]
    x, y, logits = features()
    kid = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=7, kid_subset_size=50, verbose=False
    )
    expected["kernel_distance"] = [*kid.values()]
    expected["inception_score"] = [*isc_features_to_metric(torch.from_numpy(logits), splits=7).values()]
    found = prdc.compute_prdc(x, y, nearest_k=5)
    expected["prdc"] = [found[name] for name in ("precision", "recall", "density", "coverage")]
    np.savez_compressed(FILE, **expected)
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).half().state_dict()
    layer |= {"0.weight": torch.arange(6.0).reshape(2, 3), "part": torch.arange(6.0)[2:4]}
    torch.save(layer, FILE.with_name("state_dict.pth"))
    torch.save(layer, FILE.with_name("state_dict_before_1_6.pth"), _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(1, 1), FILE.with_name("whole_model.pth"))


if __name__ == "__main__":
    main()
