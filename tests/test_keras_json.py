"""What a user's keras.json may not say is refused in one line."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"image_data_format": "channels_first"},
            'works with channels last: write "image_data_format"',
        ),
        ({"floatx": "float64"}, 'works with floatx "float32", not "float64": write "floatx": "float32"'),
    ],
)
def test_what_the_networks_do_not_work_with(tmp_path, settings, message):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = (
        "import sys, keras_segen_cli\n"
        "status = keras_segen_cli.main(['demo', '--out', 'run'])\n"
        "try: import keras_segen\n"
        "except ImportError as error: print(error)\n"
        "sys.exit(status)\n"
    )
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert answer.returncode == 1
    assert answer.stdout.startswith(f"keras_segen {message}")
    assert answer.stderr.startswith(f"keras-segen: failed: keras_segen {message}")
    assert answer.stderr.count("\n") == 1
