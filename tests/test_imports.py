import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_segen

ROOT = Path(__file__).parents[1]

# Imports run one way, from the first row down; `models` and `training` are strangers to each other.
LIBRARY = [
    {"annotations"},
    {"training", "data", "callbacks", "inference", "serving", "runs", "classical", "geotiff"},
    {"models", "losses", "metrics", "plotting"},
    {"layers", "_downloads"},
    {"_codebooks", "files", "_autodiff", "_labels", "latents", "_masks", "_encoded", "ranges", "torch_file"},
    {"errors", "types"},
]
# Registers a data set of TensorFlow Datasets when it is imported: `import keras_segen` leaves that to the user.
REGISTERS = "keras_segen.data.voc_segmentation"
COMMAND_LINE = [{"commands", "packaged_classifier"}, {"tasks"}, {"recipes"}, {"options", "parsing_error", "warning"}]


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


MODULES = list(pkgutil.walk_packages(keras_segen.__path__, "keras_segen."))
PUBLIC = [info.name for info in MODULES if "._" not in info.name and info.name != REGISTERS]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_module_says_what_is_public(name):
    module = importlib.import_module(name)
    assert module.__all__
    assert {*module.__all__} <= {*dir(module)}
    assert not [public for public in module.__all__ if public.startswith("_")]


def test_modules_inside_a_package_bear_underscores():
    inside = [info.name for info in MODULES if info.name.count(".") == 2]
    assert [name for name in inside if "._" not in name] == [REGISTERS]


def test_the_top_level_shows_every_public_module():
    assert {name.split(".")[1] for name in PUBLIC} <= {*keras_segen.__all__}


def imported_names(tree: ast.AST) -> set[tuple[str, str]]:
    """Return the modules of the library that a syntax tree imports from, each with the name that it takes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keras_segen":
            names |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {tuple(alias.name.rpartition(".")[::2]) for alias in node.names if "keras_segen." in alias.name}
    return names


def notebook_code(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    return "\n".join(line for line in code.splitlines() if not line.startswith("%"))


@pytest.mark.parametrize("path", sorted((ROOT / "keras_segen_cli").rglob("*.py")), ids=lambda path: path.stem)
def test_the_command_line_imports_public_names_alone(path):
    for module, name in imported_names(ast.parse(path.read_text(encoding="utf-8"))):
        assert name in importlib.import_module(module).__all__, f"{module}.{name}"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_import_public_names_of_the_library_alone(path):
    tree = ast.parse(notebook_code(path))
    for module, name in imported_names(tree):
        assert name in importlib.import_module(module).__all__, f"{module}.{name}"
    assert "keras_segen_cli" not in notebook_code(path)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_name_what_is_public(path):
    for node in ast.walk(ast.parse(notebook_code(path))):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("ks."):
            part, *names = ast.unparse(node).split(".")[1:]
            assert part in keras_segen.__all__, ast.unparse(node)
            if names and ast.unparse(node).count(".") == 2:
                assert names[0] in getattr(keras_segen, part).__all__, ast.unparse(node)


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
