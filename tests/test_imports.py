import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "keras_segen"

# Imports run one way, from the first row down; `models` and `training` are strangers to each other.
LEVELS = [
    {"cli"},
    {"recipes"},
    {"training", "data", "callbacks", "inference", "serving", "runs", "classical"},
    {"models", "losses", "metrics", "plotting"},
    {"layers", "downloads"},
    {"codebooks", "files", "autodiff", "labels", "latents", "masks", "encoded", "ranges"},
    {"errors", "types"},
]


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keras_segen":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            parts |= {name for name in names if not name.startswith("__")}
        elif isinstance(node, ast.Import):
            parts |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("keras_segen.")}
    return parts


def test_imports_run_one_way():
    level_of = {part: level for level, parts in enumerate(LEVELS) for part in parts}
    for path in PACKAGE.rglob("*.py"):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for other in imported_parts(path) - {part}:
            assert level_of[other] > level_of[part], f"{path} imports {other}"


def test_help_needs_no_tensorflow():
    code = "import sys, keras_segen_cli as c; c.main(['train', 'unet', '--help']); print({'keras', 'tensorflow'} & {*sys.modules})"
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
