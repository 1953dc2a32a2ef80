"""The command `keras-segen`, and the exit status that each kind of failure has.

It stands beside the package because importing that imports TensorFlow, which takes seconds: `--help` and wrong options
answer at once.
"""

import re
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from keras_segen_cli.commands import app
from keras_segen_cli.parsing_error import in_words
from keras_segen_cli.recipes import WrongUseError

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for a failed run, 2 for wrong use, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character
    tokens = [*(sys.argv[1:] if arguments is None else arguments)]
    training = tokens[:1] == ["train"]
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        return _wrong_use(in_words(error), error.command_chain or ())
    except KeyboardInterrupt:
        further = "; the training goes on by repeating its command with --resume --out RUN" if training else ""
        print(f"\nkeras-segen: stopped{further}", file=sys.stderr)
        return INTERRUPTED
    except WrongUseError as error:
        return _wrong_use(str(error), ())
    except ValueError as error:
        if type(error).__name__ != "InputError":
            raise
        return _wrong_use(str(error), ())
    except Exception as error:
        reason = _reason(error, training=training)
        if reason is None:
            raise
        print(f"keras-segen: failed: {reason}", file=sys.stderr)
        return FAILED
    return 0


def _wrong_use(message: str, chain: Sequence[str]) -> int:
    """Say what is wrong in one line."""
    line = " ".join(message.split())
    help_of = f" (see {' '.join(('keras-segen', *chain))} --help)" if chain else ""
    print(f"keras-segen: error: {line}{help_of}", file=sys.stderr)
    return WRONG_USE


def _reason(error: Exception, *, training: bool) -> str | None:
    """Return why a run failed, if it is not a fault of the program."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}: put that right, and repeat the command"
    if isinstance(error, OSError | FloatingPointError | ImportError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        fix = "lower --batch-size or --image-size" if training else "end other programs, or give smaller images"
        return f"the memory is full ({_cause(error)}): {fix}"
    if type(error).__module__.startswith("tensorflow"):
        return _cause(error)
    return None


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
