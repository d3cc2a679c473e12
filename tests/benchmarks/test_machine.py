"""The machine in a sentence, with what it does not tell left out."""

from dataclasses import replace

import pytest

from pipeline.benchmarks import machine
from pipeline.benchmarks.machine import Machine

ONE = Machine("A CPU", 2, "Linux x86_64", "3.12.1", "1.31.1", 0.26)


def test_this_one_is_known() -> None:
    here = Machine.here()
    assert here.cores >= 1
    assert all((here.processor, here.system, here.python, here.onnxruntime))


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (ONE, "A CPU, 2 cores, Linux x86_64; Python 3.12.1, ONNX Runtime 1.31.1 on the CPU; load 0.3 before the run"),
        (
            replace(ONE, cores=1, load=None),
            "A CPU, 1 core, Linux x86_64; Python 3.12.1, ONNX Runtime 1.31.1 on the CPU",
        ),
    ],
    ids=["two cores", "one core, no load"],
)
def test_it_is_told_in_a_sentence(one, text) -> None:
    assert str(one) == text


def test_the_processor_is_named_by_the_kernel_or_by_its_kind(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert machine.processor()
    machine.CPUINFO.write_text("processor\t: 0\nmodel\t\t: 2\nmodel name\t: Some CPU @ 2 GHz\n")
    assert machine.processor() == "Some CPU @ 2 GHz"
