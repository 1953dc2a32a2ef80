"""The process that runs one PyTorch contender for `harness.InPyTorch`: PyTorch and TensorFlow cannot share one.

Requests come pickled on stdin, answers go pickled to stdout: first (module, function, arguments, cores), which builds
the contender; then a clock, answered by the seconds of one run by it, or None, answered by what one run returns.
"""

import importlib
import os
import pickle
import sys

import torch


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what PyTorch prints is no answer
    module, function, arguments, cores = pickle.load(sys.stdin.buffer)
    torch.set_num_threads(cores)
    run = getattr(importlib.import_module(module), function)(*arguments)
    while True:
        try:
            clock = pickle.load(sys.stdin.buffer)
        except EOFError:  # the parent has ended
            return
        if clock is None:
            result = run()
            answer = result.numpy() if isinstance(result, torch.Tensor) else result
        else:
            start = clock()
            run()
            answer = clock() - start
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
