"""The examples at the ends of docstrings: every public name has one, and it does what it says.

An example is a doctest under "Example:". It finds `ks`, `keras`, `np` and `tf` imported, as the package's docstring
says, and an empty folder to work in. What else it needs it makes itself. Three dots in an expected output stand for any
text. Examples that would download something do not run: they compile, and their calls fit the signatures.
"""

import ast
import doctest
import importlib
import inspect
import io
import re
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_segen

PARTS = ("annotations", "callbacks", "classical", "data", "geotiff", "inference", "latents", "layers", "losses")
PARTS += ("metrics", "models", "plotting", "ranges", "runs", "serving", "torch_file", "training")
DOWNLOADS = {
    "data.celeb_a",
    "data.cifar10",
    "data.coco",
    "data.drive",
    "data.fashion_mnist",
    "data.mnist",
    "data.oxford_iiit_pet",
    "data.read_celeb_a",
    "data.read_cifar10",
    "data.read_coco",
    "data.read_drive",
    "data.read_fashion_mnist",
    "data.read_mnist",
    "data.read_oxford_iiit_pet",
    "data.read_voc",
    "data.voc",
    "geotiff.save_label_map",  # needs a GeoTIFF
    "metrics.Reference.from_statistics",
    "metrics.inception_features",
    "torch_file.read_state_dict",  # needs a file that PyTorch wrote
}
GLOBALS = {"ks": keras_segen, "keras": keras, "np": np, "tf": tf}
HEADING = "Example:"


def public_names() -> dict[str, object]:
    """Return the functions and classes that users call, by names such as "models.unet"."""
    names = {}
    for part in PARTS:
        module = importlib.import_module(f"keras_segen.{part}")
        names |= {f"{part}.{name}": getattr(module, name) for name in module.__all__}
    return {name: member for name, member in names.items() if callable(member)}


def documented() -> dict[str, str]:
    """Return the docstrings of public names and of their methods, such as "metrics.Reference.of"."""
    docs = {}
    for name, member in public_names().items():
        docs[name] = inspect.cleandoc(member.__doc__ or "")
        if inspect.isclass(member):
            methods = {method: getattr(member, method) for method in vars(member) if not method.startswith("_")}
            docs |= {f"{name}.{method}": inspect.cleandoc(value.__doc__ or "") for method, value in methods.items()}
    return docs


DOCUMENTED = documented()
EXAMPLES = {name: doc.partition(f"\n{HEADING}\n")[2] for name, doc in DOCUMENTED.items() if HEADING in doc}


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_has_an_example(name):
    assert name in EXAMPLES, f"end its docstring in {HEADING!r} and up to five lines of code"


def parsed(name: str) -> doctest.DocTest:
    text = textwrap.dedent(EXAMPLES[name])
    return doctest.DocTestParser().get_doctest(text, dict(GLOBALS), name, None, None)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_the_end_of_its_docstring(name):
    lines = EXAMPLES[name].splitlines()
    assert lines[0].startswith("    >>> ")
    assert all(line.startswith("    ") for line in lines)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_up_to_five_lines_of_code(name):
    code = [line for line in EXAMPLES[name].splitlines() if line.strip().startswith((">>>", "..."))]
    assert 1 <= len(code) <= 5


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - DOWNLOADS))
def test_an_example_gives_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = io.StringIO()
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(parsed(name), out=report.write)
    assert not report.getvalue(), report.getvalue()


@pytest.mark.parametrize("name", sorted(DOWNLOADS))
def test_the_calls_of_an_example_that_downloads_fit_the_signatures(name):
    tree = ast.parse("".join(example.source for example in parsed(name).examples))
    calls = [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [(path, call) for path, call in calls if re.fullmatch(r"ks(\.\w+)+", path)]
    assert f"ks.{name}" in dict(calls)
    for path, call in calls:
        function = eval(path, dict(GLOBALS))
        arguments = inspect.signature(function).bind(*call.args, **{word.arg: word.value for word in call.keywords})
        # What all data sets share is one parameter of a signature, which takes any name.
        assert arguments.arguments.get("batching", {}).keys() <= keras_segen.data.Batching.__annotations__.keys()
