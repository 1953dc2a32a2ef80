"""The process of one contender, which `harness.Process` starts.

Requests come pickled on stdin, answers go pickled to stdout. The first request, (module, function, arguments, cores),
calls the function, which returns what is run. Each request after that runs it once: a clock is answered by the seconds
that the run took by it, None by the result.
"""

import importlib
import os
import pickle
import sys


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    module, function, arguments, cores = pickle.load(sys.stdin.buffer)
    prepare = getattr(importlib.import_module(module), function)
    use_cores(cores)
    run = prepare(*arguments)
    answer = None
    while True:
        pickle.dump(answer, answers)
        answers.flush()
        try:
            clock = pickle.load(sys.stdin.buffer)
        except EOFError:  # the parent has ended
            return
        if clock is None:
            result = run()
            answer = result.numpy() if hasattr(result, "numpy") else result
        else:
            start = clock()
            run()
            answer = clock() - start


def use_cores(cores: int) -> None:
    """Give the library that the module has imported all cores.

    TensorFlow gets one operation at a time, as in a repeatable training.
    """
    if tf := sys.modules.get("tensorflow"):
        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(cores)


if __name__ == "__main__":
    main()
