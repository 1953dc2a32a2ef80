import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports run one way, from the first row down; `models` and `training` are strangers to each other.
LIBRARY = [
    {"training", "data", "callbacks", "inference", "serving", "runs", "classical"},
    {"models", "losses", "metrics", "plotting"},
    {"layers", "downloads"},
    {"codebooks", "files", "autodiff", "labels", "latents", "masks", "encoded", "ranges"},
    {"errors", "types"},
]
COMMAND_LINE = [{"commands", "packaged_classifier"}, {"tasks"}, {"recipes"}, {"options"}]


def imported_parts(path: Path, package: str) -> set[str]:
    """Return the modules and folders of a package that a file imports from."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            parts |= {name for name in names if not name.startswith("__")}
        elif isinstance(node, ast.Import):
            parts |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{package}.")}
    return parts


@pytest.mark.parametrize(("package", "levels"), [("keras_segen", LIBRARY), ("keras_segen_cli", COMMAND_LINE)])
def test_imports_run_one_way(package, levels):
    level_of = {part: level for level, parts in enumerate(levels) for part in parts}
    for path in (ROOT / package).rglob("*.py"):
        part = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if part.startswith("__"):
            continue
        for other in imported_parts(path, package) - {part}:
            assert level_of[other] > level_of[part], f"{path} imports {other}"


def test_the_library_does_not_know_the_command_line():
    for path in (ROOT / "keras_segen").rglob("*.py"):
        assert not imported_parts(path, "keras_segen_cli"), path


def test_help_needs_no_tensorflow():
    code = "import sys, keras_segen_cli; keras_segen_cli.main(['train', 'unet', '--help']); "
    code += "print({'keras', 'tensorflow'} & {*sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "set()"


def test_a_model_loads_where_only_the_package_is_imported(tmp_path):
    write = (
        "import keras, numpy as np, keras_segen as ks\n"
        "m = ks.models.unet(2, filters=(4, 8))\n"
        "loss = ks.losses.Sum([ks.losses.CrossEntropy(), ks.losses.Dice()])\n"
        "m.compile('adam', loss, metrics=[ks.metrics.MeanIoU(2)])\n"
        "m.fit(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8)), verbose=0)\n"
        "m.save('model.keras')\n"
    )
    read = (
        "import keras_segen, keras, numpy as np\n"
        "m = keras.saving.load_model('model.keras')\n"
        "m.fit(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8)), verbose=0)\n"
        "print(int(m.optimizer.iterations), m.metrics_names)\n"
    )
    for code in (write, read):
        answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert answer.stdout.split()[0] == "2"
