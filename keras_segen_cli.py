"""The command `keras-segen`: its options, and the exit status that each kind of failure has.

It stands outside the package because importing that imports TensorFlow, which takes seconds: `--help` and wrong options
answer at once.
"""

import argparse
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, not the whole usage."""
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.lstrip("-").isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return whole


def _positive(most: float, *, or_zero: bool = False) -> Callable[[str], float]:
    def positive(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not (0 < value <= most or (or_zero and value == 0)):
            least = "from 0" if or_zero else "over 0"
            raise argparse.ArgumentTypeError(f"must be a number {least} and at most {most:g}, not {text!r}")
        return value

    return positive


def _named(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = _Parser(prog="keras-segen", description="Train, measure, picture and serve models for images.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    demo = commands.add_parser(
        "demo", help="everything once in a minute or two, offline: train, measure, picture, export"
    )
    demo.add_argument(
        "--out", type=_named, metavar="RUN", help="the run folder (default: next free runs/unet-shapes-N)"
    )

    _add_train(commands)

    _add_evaluate(commands)

    predict = commands.add_parser(
        "predict", help="write label maps and overlays of images; of a vae's, reconstructions and anomaly scores"
    )
    predict.add_argument("run", type=_named, metavar="RUN")
    predict.add_argument(
        "images", type=_named, nargs="+", metavar="IMAGE|FOLDER", help="folders with all their sub-folders"
    )
    predict.add_argument(
        "--out", type=_named, required=True, metavar="DIR", help="results, in the sub-folders that FOLDER has"
    )
    predict.add_argument(
        "--skip-existing", action="store_true", help="skip images that have their results in DIR, after an interruption"
    )
    predict.add_argument(
        "--tile",
        type=_whole(16, 2**14),
        metavar="N",
        help="side of the tiles that images go through in; default: 512 for over 2 megapixels (2^21), others go whole",
    )
    predict.add_argument(
        "--overlap", type=_positive(0.9, or_zero=True), metavar="X", help="of neighbouring tiles; default: 0.25"
    )
    _add_looks(predict)
    _add_max_pixels(predict)

    sample = commands.add_parser("sample", help="generate images with a run's best model")
    sample.add_argument("run", type=_named, metavar="RUN")
    sample.add_argument("--count", type=_whole(1, 10**7), required=True, metavar="N", help="images")
    sample.add_argument(
        "--label",
        metavar="K",
        help="a class by name or number, or attributes with commas between; default: all in turn",
    )
    sample.add_argument(
        "--mixture", action="store_true", help="of a vae: draw latents from where its images' lie, not from the prior"
    )
    sample.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default: 0")
    sample.add_argument(
        "--out", type=_named, required=True, metavar="FILE.png|DIR", help="one picture, or a sub-folder for each class"
    )

    worth = commands.add_parser("worth", help="tell what generated images are worth as training data")
    worth.add_argument(
        "--real",
        type=_named,
        required=True,
        metavar="DATA",
        help="cifar10, shapes, or a folder, one sub-folder a class",
    )
    worth.add_argument("--generated", type=_named, required=True, metavar="DIR", help="what `sample` wrote")
    worth.add_argument("--steps", type=_whole(10, 10**7), default=1000, metavar="N", help="a training; default: 1000")
    worth.add_argument("--image-size", type=_whole(16, 512), default=32, metavar="N", help="side; default: 32")
    worth.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default: 0")
    worth.add_argument("--data-dir", type=_named, metavar="DIR", help="where named data sets lie; default: TFDS's own")
    _add_max_pixels(worth)

    export = commands.add_parser("export", help="write a run's best model as a servable")
    export.add_argument("run", type=_named, metavar="RUN")
    export.add_argument("--to", type=_named, required=True, metavar="saved_models/NAME")
    return top


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a model; writes a run folder")
    models = ["fcn", "unet", "dcgan", "cgan", "vae"]
    train.add_argument("model", choices=models, metavar="MODEL", help="fcn, unet, dcgan, cgan or vae")
    train.add_argument(
        "--data",
        type=_named,
        required=True,
        help="shapes; for segmenters (fcn, unet) also voc, voc_trainaug, voc2007, coco or oxford_iiit_pet, for the "
        "others cifar10 or celeb_a; or a folder: {train,val}/{images,masks} for segmenters, one sub-folder a class for "
        "the others",
    )
    train.add_argument(
        "--out", type=_named, metavar="RUN", help="the run folder (default: next free runs/MODEL-DATA-N)"
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, whatever it died of, or for more --epochs; give its other options again. A "
        "CPU then comes to the same bits as without a stop, a GPU with --deterministic; without, it comes to the same "
        "up to rounding",
    )
    train.add_argument(
        "--start-from",
        type=_named,
        metavar="RUN",
        help="begin with the best weights of another run of this model; where the classes differ, what belongs to them "
        "is new. An fcn may have a greater --stride there, for staged training",
    )
    train.add_argument(
        "--epochs",
        type=_whole(1, 10**6),
        metavar="N",
        help="default: fcn 36, unet 6, else 10. The learning rate falls over all of them, those that --resume adds "
        "included",
    )
    train.add_argument(
        "--steps-per-epoch", type=_whole(1, 10**6), metavar="N", help="default: fcn 50, else 200; or one pass"
    )
    train.add_argument("--batch-size", type=_whole(1, 2**16), metavar="N", help="default: fcn 8, unet 16, else 32")
    train.add_argument(
        "--image-size",
        type=_whole(16, 2**13),
        metavar="N",
        help="side in training; default: fcn 320, unet 128, else 32",
    )
    train.add_argument(
        "--learning-rate",
        type=_positive(1000),
        metavar="X",
        help="Adam's at the start; default: 0.0005 for GANs, else 0.001",
    )
    train.add_argument(
        "--filters",
        type=_whole(1, 2**14),
        nargs="+",
        metavar="N",
        help="widths, one a level for unet; default: 16 32 64 128, on a backbone 16 32 64 128 256; else 64",
    )
    train.add_argument("--data-dir", type=_named, metavar="DIR", help="where named data sets lie; default: TFDS's own")
    train.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default: 0")
    train.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32", help="default: float32")
    train.add_argument(
        "--jit-compile",
        choices=["auto", "on", "off"],
        default="auto",
        help="compile the training step by XLA; default: auto, on a GPU without --deterministic",
    )
    train.add_argument(
        "--deterministic",
        action="store_true",
        help="on a GPU: come to the same bits each time, at a lower speed and without XLA; a CPU always does",
    )
    train.add_argument(
        "--loss",
        choices=[*_SEGMENTERS_LOSSES, *_GANS_LOSSES],
        nargs="+",
        metavar="NAME",
        help=f"segmenters: one or more of {', '.join(_SEGMENTERS_LOSSES)} (default: cross_entropy dice); "
        f"GANs: one of {', '.join(_GANS_LOSSES)} (default: hinge)",
    )
    _add_max_pixels(train)
    _add_segmenters(train)
    generative = train.add_argument_group("all but segmenters")
    generative.add_argument("--latent-dim", type=_whole(1, 2**14), metavar="N", help="numbers in one; default: 128")
    generative.add_argument(
        "--attributes", type=_named, nargs="+", metavar="NAME", help="cgan and vae on celeb_a: such as Smiling"
    )
    _add_gans(train)
    _add_vae(train)


_SEGMENTERS_LOSSES = (
    "cross_entropy",
    "focal",
    "top_k_cross_entropy",
    "dice",
    "jaccard",
    "tversky",
    "focal_tversky",
    "lovasz",
)
_GANS_LOSSES = ("non_saturating", "minimax", "least_squares", "hinge", "wasserstein")


def _add_segmenters(train: Any) -> None:
    both = train.add_argument_group("fcn and unet")
    both.add_argument(
        "--backbone", choices=["vgg16", "resnet50", "mobilenet"], help="fcn: mobilenet by default; unet: none"
    )
    both.add_argument(
        "--weights", type=_named, metavar="imagenet|none|FILE", help="of the backbone; default: download ImageNet's"
    )
    both.add_argument("--alpha", type=_positive(8), metavar="X", help="MobileNet's width; default: 1")
    both.add_argument(
        "--frozen-epochs", type=_whole(0, 10**6), metavar="N", help="keep the backbone as it is at first; default: 0"
    )
    both.add_argument(
        "--released-learning-rate", type=_positive(1000), metavar="X", help="afterwards; default: a tenth"
    )
    both.add_argument("--optimizer", choices=["adam", "sgd"], help="sgd has momentum 0.9; default: adam")
    both.add_argument("--schedule", choices=["cosine", "constant"], help="of the learning rate; default: cosine, to 0")
    both.add_argument(
        "--weight-decay", type=_positive(1, or_zero=True), metavar="X", help="times the learning rate; default: 0"
    )
    both.add_argument(
        "--output-codes",
        type=_output_codes,
        metavar="hadamard|BITS",
        help="error-correcting ones instead of softmax; BITS: random words of that length",
    )
    both.add_argument("--refinement", action="store_true", default=None, help="end in a stage that corrects boundaries")
    both.add_argument("--stride", type=int, choices=[32, 16, 8], help="fcn: FCN-32s, -16s or -8s; default: 8")
    both.add_argument("--padding", choices=["same", "valid"], help="unet: valid as in the paper; default: same")
    both.add_argument(
        "--deep-supervision", action="store_true", default=None, help="unet: judge its coarser levels too"
    )


def _output_codes(text: str) -> str:
    return text if text == "hadamard" else str(_whole(1, 4096)(text))


def _add_gans(train: Any) -> None:
    gans = train.add_argument_group("GANs")
    gans.add_argument(
        "--discriminator-learning-rate",
        type=_positive(1000),
        metavar="X",
        help="the other player's; default: 0.0002 for dcgan, 0.0004 for cgan",
    )
    gans.add_argument(
        "--half-life",
        type=_positive(1e12),
        metavar="N",
        help="of the generator's running average, images; default: 20000",
    )
    gans.add_argument(
        "--diff-augment", action="store_true", default=None, help="vary what the discriminator sees, for few images"
    )
    gans.add_argument(
        "--stop-on-collapse",
        action="store_true",
        default=None,
        help="end at the first warning, and go back to the best",
    )
    gans.add_argument("--conditioning", choices=["projection", "concat"], help="cgan; default: projection")


def _add_vae(train: Any) -> None:
    vae = train.add_argument_group("vae")
    vae.add_argument("--conditional", action="store_true", default=None, help="on classes, or --attributes")
    vae.add_argument(
        "--latent-side",
        type=_whole(1, 2**12),
        metavar="N",
        help="make the latent a map with so long a side; default: one for the whole image",
    )
    vae.add_argument("--blocks", type=_whole(0, 64), metavar="N", help="residual, of each size; default: 1")
    vae.add_argument(
        "--likelihood",
        choices=["discretized_logistic", "gaussian", "bernoulli"],
        metavar="NAME",
        help="discretized_logistic (default), gaussian or bernoulli",
    )
    vae.add_argument(
        "--scale", type=_positive(100), metavar="X", help="gaussian's standard deviation; default: learned"
    )
    vae.add_argument(
        "--beta", type=_positive(1e6, or_zero=True), metavar="X", help="weight of the divergence; default: 1"
    )
    vae.add_argument("--warm-up", type=_whole(0, 10**9), metavar="N", help="steps over which it rises; default: 0")
    vae.add_argument(
        "--free-bits",
        type=_positive(1e6, or_zero=True),
        metavar="X",
        help="nats of each latent that cost nothing; default: 0",
    )
    vae.add_argument(
        "--importance-samples",
        type=_whole(1, 2**12),
        metavar="N",
        help="over 1: train by the importance-weighted bound; default: 1",
    )


def _add_looks(command: Any) -> None:
    looks = command.add_argument_group("segmenters: average over several looks at each image")
    looks.add_argument("--flip", action="store_true", help="it and its mirror image")
    looks.add_argument(
        "--scales", type=_positive(8), nargs="+", metavar="X", help="enlarged and shrunk by these, such as 0.75 1 1.25"
    )


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="print a run's scores and write them into its folder; or print a classical method's; or score one folder "
        "of images by another",
    )
    evaluate.add_argument("run", type=_named, nargs="?", metavar="RUN", help="what `train` wrote")
    evaluate.add_argument("--data", type=_named, help="other data than the run's own; with --baseline, a folder")
    evaluate.add_argument(
        "--split",
        type=_named,
        metavar="NAME",
        help="of a RUN: the split of the data to score, such as test, or all; default: of the run's own data the one "
        "it was validated on, of a folder all that is there",
    )
    evaluate.add_argument("--data-dir", type=_named, metavar="DIR", help="where a RUN's named data sets lie now")
    evaluate.add_argument(
        "--baseline",
        choices=["otsu", "watershed", "region_growing"],
        metavar="NAME",
        help="instead of RUN: a method that learns nothing, on --data, a folder with two classes: otsu, watershed or "
        "region_growing",
    )
    evaluate.add_argument("--real", type=_named, metavar="DIR", help="instead of RUN: real images, and with")
    evaluate.add_argument("--fake", type=_named, metavar="DIR", help="images made elsewhere, sub-folders included")
    evaluate.add_argument(
        "--out",
        type=_named,
        metavar="FILE.json",
        help="without RUN: the scores as a file; of a baseline, FILE.png too",
    )
    evaluate.add_argument(
        "--extractor",
        choices=["cifar10", "inception"],
        help="whose features are compared: cifar10, which comes with the package (default), or inception, FID's own "
        "network, whose weights (96 MB) are downloaded once",
    )
    evaluate.add_argument(
        "--inception-weights", type=_named, metavar="FILE", help="these weights, a .pth or .pb, instead of a download"
    )
    evaluate.add_argument(
        "--reference",
        type=_named,
        metavar="FILE.npz",
        help="compare with published statistics, `mu` and `sigma` of inception's features, instead of real images; "
        "for a RUN, or with --fake",
    )
    evaluate.add_argument(
        "--samples",
        type=_whole(6, 10**7),
        metavar="N",
        help="generated images, beside at most as many real ones; default: 10000 of a run, all of folders",
    )
    _add_looks(evaluate)
    _add_max_pixels(evaluate)


def _add_max_pixels(command: Any) -> None:
    command.add_argument(
        "--max-pixels", type=_whole(1, 10**11), metavar="N", help="refuse larger images; default: 89478485, Pillow's"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for a failed run, 2 for wrong use, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character
    options = vars(parser().parse_args(arguments))
    training = options["command"] == "train"
    try:
        _check_name(options)
        _check(options)
        _run(options.pop("command"), options)
    except KeyboardInterrupt:
        further = "; the training goes on by repeating its command with --resume --out RUN" if training else ""
        print(f"\nkeras-segen: stopped{further}", file=sys.stderr)
        return INTERRUPTED
    except ValueError as error:
        if type(error).__name__ != "InputError":
            raise
        print(f"keras-segen: error: {error}", file=sys.stderr)
        return WRONG_USE
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {error.strerror}: put that right, and repeat the command"
        elif isinstance(error, OSError | FloatingPointError | ImportError):
            reason = str(error)
        elif isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            fix = "lower --batch-size or --image-size" if training else "end other programs, or give smaller images"
            reason = f"the memory is full ({_cause(error)}): {fix}"
        elif type(error).__module__.startswith("tensorflow"):
            reason = _cause(error)
        else:
            raise
        print(f"keras-segen: failed: {reason}", file=sys.stderr)
        return FAILED
    return 0


_WHERE = re.compile(r'Graph execution error:|Detected at node|<stack traces|File "|\d+ root error|\[\[')


def _cause(error: Exception) -> str:
    """Return the line of TensorFlow's many that says what was wrong: a file that vanished, a label that is no class."""
    text = re.sub(r"\{\{function_node [^}]*\}\}|\[Op:[^\]]*\].*", "", str(error))
    for line in map(str.strip, text.splitlines()):
        if line == "Traceback (most recent call last):":
            break
        if line and not _WHERE.match(line):
            return re.sub(r"^\(\d+\) [A-Z_]+: |InputError: ", "", line)
    return type(error).__name__


def _check(options: dict[str, Any]) -> None:
    """Raise for options that do not go together, before anything is imported."""
    if options["command"] == "train":
        _check_train(options)
    scales = options.get("scales") or []
    if len(set(scales)) < len(scales):
        parser().error(f"--scales takes each factor once, not {' '.join(f'{scale:g}' for scale in scales)}")
    if options["command"] != "evaluate":
        return
    folders = options["real"], options["fake"]
    if options["baseline"]:
        if options["run"] or folders != (None, None) or not options["data"]:
            parser().error("--baseline takes --data DIR, and neither a RUN nor --real and --fake")
        if options["extractor"] or options["inception_weights"] or options["reference"] or options["samples"]:
            parser().error("--baseline segments: it has no --extractor, --inception-weights, --reference or --samples")
        if options["flip"] or scales or options["data_dir"] or options["split"]:
            parser().error("--flip, --scales, --data-dir and --split go with a RUN, not with --baseline")
        return
    compares = options["fake"] is not None and (options["real"] is None) != (options["reference"] is None)
    if (options["run"] is None) != compares or (options["run"] and folders != (None, None)):
        parser().error(
            "evaluate takes a RUN, or --real DIR and --fake DIR, or --reference FILE.npz and --fake DIR, or --baseline "
            "NAME and --data DIR"
        )
    if options["run"] is None and options["data"]:
        parser().error("--data goes with a RUN or --baseline, not with --real and --fake")
    if options["run"] is None and (options["data_dir"] or options["split"]):
        parser().error("--data-dir and --split go with a RUN")
    if options["run"] is None and (options["flip"] or scales):
        parser().error("--flip and --scales go with a RUN, not with --real and --fake")
    if options["run"] and options["out"]:
        parser().error("--out goes with --baseline or --real and --fake: a run's scores are in RUN/metrics.json")


# Data sets that go by name; a test holds this equal to what the recipes know.
DATA_SETS = ("shapes", "voc", "voc_trainaug", "voc2007", "coco", "oxford_iiit_pet", "cifar10", "celeb_a")


def _check_name(options: dict[str, Any]) -> None:
    """Refuse a name that is a data set's and a folder's."""
    data = options["real"] if options["command"] == "worth" else options.get("data")
    if data in DATA_SETS and not options.get("baseline") and Path(data).is_dir():
        parser().error(
            f"{data} is a data set, and a folder of this name lies here: write ./{data} for the folder; for the data "
            "set, run the command in another folder"
        )


def _check_train(options: dict[str, Any]) -> None:
    if options["deterministic"] and options["jit_compile"] == "on":
        parser().error("--deterministic turns XLA off: leave out --jit-compile on")
    for name in ("loss", "attributes"):
        given = options[name] or []
        if len(set(given)) < len(given):
            parser().error(f"--{name} takes each name once, not {' '.join(given)}")
    if not options["loss"]:
        return
    segmenter = options["model"] in ("fcn", "unet")
    fitting = _SEGMENTERS_LOSSES if segmenter else _GANS_LOSSES
    if not set(options["loss"]) <= set(fitting) or not (segmenter or len(options["loss"]) == 1):
        parser().error(f"--loss of {options['model']} is {'some' if segmenter else 'one'} of {', '.join(fitting)}")
    if not segmenter:
        options["loss"] = options["loss"][0]


def _import_quietly() -> None:
    """Import TensorFlow without the lines on CPU features and absent GPUs that no setting of it can silence."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # which the commands' data sets and servables are made for
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters comes as an exception
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")  # it warns of functions traced for several networks, which is meant
        except Exception:
            said.seek(0)
            os.write(standard_error, said.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


def _run(command: str, options: dict[str, Any]) -> None:
    _import_quietly()
    warnings.formatwarning = lambda message, *_, **__: f"keras-segen: warning: {message}\n"
    verbose = sys.stdout.isatty()
    max_pixels = options.pop("max_pixels", None)
    if max_pixels is not None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = max_pixels
    if command == "demo":
        from keras_segen.cli.demo import demo

        demo(**options, verbose=verbose)
    elif command == "train":
        from keras_segen.cli.train import train

        options["jit_compile"] = {"auto": "auto", "on": True, "off": False}[options["jit_compile"]]
        train(**options, verbose=verbose)
    elif command == "evaluate":
        from keras_segen.cli.evaluate import evaluate, evaluate_baseline, evaluate_folders

        run, data, real, fake, out = (options.pop(name) for name in ("run", "data", "real", "fake", "out"))
        baseline = options.pop("baseline")
        if baseline is not None:
            evaluate_baseline(baseline, data=data, out=out, verbose=verbose)
        elif run is not None:
            evaluate(run, data=data, **options, verbose=verbose)
        else:
            del options["flip"], options["scales"], options["data_dir"], options["split"]
            evaluate_folders(real, fake, out=out, **options, verbose=verbose)
    elif command == "predict":
        from keras_segen.cli.predict import predict

        predict(options.pop("run"), options.pop("images"), **options, verbose=verbose)
    elif command == "sample":
        from keras_segen.cli.sample import sample

        sample(options.pop("run"), **options, verbose=verbose)
    elif command == "worth":
        from keras_segen.cli.worth import worth

        worth(options.pop("real"), **options, verbose=verbose)
    else:
        from keras_segen.cli.export import export

        export(options["run"], to=options["to"])
