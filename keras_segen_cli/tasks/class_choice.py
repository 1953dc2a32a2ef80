"""The class that an option names."""

from collections.abc import Sequence

from keras_segen.errors import InputError


def chosen_class(option: str, value: str, class_names: Sequence[str]) -> int:
    """Return the id of a class that goes by its name or its number; `InputError`, with the option, for another."""
    if value in class_names:
        return list(class_names).index(value)
    if value.isdecimal() and int(value) < len(class_names):
        return int(value)
    raise InputError(
        f"{option} {value}: is neither a class nor its number from 0 to {len(class_names) - 1}: "
        f"the classes are {', '.join(class_names)}"
    )
