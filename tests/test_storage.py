"""Claims of a run directory by several processes, and after one that was killed."""

import pytest
from conftest import python

from gahr.experiment import storage

CLAIMS = 60
PROGRAM = f"""
import os, sys, time
from pathlib import Path
import jax  # which the first claim would load
from gahr.experiment import storage

start, children = time.time() + 1, []
for _ in range(4):
    children.append(os.fork())
    if not children[-1]:
        storage.describe_machine()  # starts JAX, which no process may do before it forks
        for i in range({CLAIMS}):
            time.sleep(max(0, start + 0.02 * i - time.time()))
            storage.claim(Path(sys.argv[1]) / f"run{{i}}", {{"seed": 1}})
            (Path(sys.argv[1]) / f"run{{i}}" / "alpha3").mkdir(exist_ok=True)
        os._exit(0)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def test_several_processes_may_claim_new_directories_at_once(tmp_path):
    done = python("-c", PROGRAM, tmp_path)
    assert done.returncode == 0, done.stderr
    for i in range(CLAIMS):
        assert {path.name for path in (tmp_path / f"run{i}").iterdir()} == {"config.json", "alpha3"}
        assert storage.read_config(tmp_path / f"run{i}")["config"] == {"seed": 1}


def test_what_a_killed_process_leaves_does_not_block_the_directory(tmp_path):
    for left in ("config.json.partial", "config.json.17.partial", ".probe17"):
        (tmp_path / left).write_text("{")
    storage.claim(tmp_path, {"seed": 1})
    assert storage.read_config(tmp_path)["config"] == {"seed": 1}


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    storage.write_json(tmp_path / "value.json", 1)
    with pytest.raises(ZeroDivisionError):
        storage.write_whole(tmp_path / "value.json", lambda file: file.write(b"2" * (1 // 0)))
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]
    assert (tmp_path / "value.json").read_text() == "1\n"


def test_records_after_a_torn_line_are_not_believed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert storage.json_lines(path) == []
    storage.drop_json_lines_after(path, 5)
    assert not path.exists()
    path.write_text('{"step": 1}\n{"step": 5}\n{"step": 7}\n{"ste\n{"step": 9}\n')
    assert [record["step"] for record in storage.json_lines(path)] == [1, 5, 7]
    storage.drop_json_lines_after(path, 5)
    assert path.read_text() == '{"step": 1}\n{"step": 5}\n'
