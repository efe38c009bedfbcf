"""Claims of a run directory by several processes, and after one that was killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gahr.experiment import storage

ROOT = Path(__file__).parent.parent
CLAIMS = 60


def test_several_processes_may_claim_new_directories_at_once(tmp_path):
    code = f"""
import pathlib, time
from gahr.experiment import storage

root = pathlib.Path({str(tmp_path)!r})
print("ready", flush=True)
start = float(input())
for i in range({CLAIMS}):
    time.sleep(max(0, start + 0.02 * i - time.time()))
    storage.claim(root / f"run{{i}}", {{"seed": 1}})
    (root / f"run{{i}}" / "alpha3").mkdir(exist_ok=True)
"""
    line = [sys.executable, "-c", code]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    processes = [subprocess.Popen(line, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    start = str(time.time() + 0.2)
    for process in processes:
        process.stdin.write(start + "\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    for i in range(CLAIMS):
        assert {path.name for path in (tmp_path / f"run{i}").iterdir()} == {"config.json", "alpha3"}
        assert storage.read_config(tmp_path / f"run{i}")["config"] == {"seed": 1}


@pytest.mark.parametrize("left", ["config.json.partial", "config.json.17.partial", ".probe17"])
def test_what_a_killed_process_leaves_does_not_block_the_directory(tmp_path, left):
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
