"""What the commands of `keras-segen` do; their options are in `keras_segen_cli`."""
