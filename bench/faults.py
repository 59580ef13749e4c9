"""Run the tests that inject faults, and print their results by fault.

    python bench/faults.py [--json OUT]

Each row of the table is a fault from outside the code: a signal, a full disk, a damaged file, NaN from the host,
threads that race. The counts are those of the test cases that inject the fault and check the promised result: the same
bits after a resumption, one clear error, no incomplete file, the host's own scheme in place of the emulator.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FAULTS = {
    "a training run stopped by a signal at any moment": (
        "the training resumes and gives the same bits",
        [
            "tests/train/test_loop.py::test_a_signal_anywhere_and_a_resumption_give_the_same_bits",
            "tests/train/test_loop.py::test_ctrl_c_in_a_program",
            "tests/train/test_loop.py::test_sigterm_ends_the_training",
            "tests/train/test_loop.py::test_a_second_ctrl_c_does_not_wait",
            "tests/train/test_store.py::test_training_from_a_store_resumes_to_the_same_bits",
            "tests/operators/test_training.py::test_an_interrupted_training_gives_the_same_bits",
        ],
    ),
    "a training run that crashes, or whose saved state is damaged": (
        "the training resumes from the last saved step, or one error names the remedy",
        [
            "tests/train/test_loop.py::test_a_crash_resumes_from_the_last_saved_step",
            "tests/train/test_resume.py::test_the_error_of_a_damaged_state_has_a_remedy",
            "tests/convection/test_training.py::test_files_of_a_killed_training_are_removed",
        ],
    ),
    "NaN and other damage in training data": (
        "an error with the position, or the values are not used",
        [
            "tests/train/test_loop.py::test_not_finite",
            "tests/convection/test_training.py::test_damaged_values_are_an_error",
            "tests/columns/test_extract.py::test_nan_is_an_error_with_its_position",
            "tests/columns/test_store.py::test_nan_writes_nothing",
        ],
    ),
    "a flipped bit anywhere in a checkpoint": (
        "detected, or without effect",
        [
            "tests/train/test_checkpoint.py::test_a_flipped_bit_is_detected_or_harmless",
            "tests/train/test_checkpoint.py::test_a_flipped_bit_in_the_content",
            "tests/train/test_checkpoint.py::test_a_missing_part",
        ],
    ),
    "a disk that becomes full": (
        "one clear error; existing files stay",
        [
            "tests/train/test_checkpoint.py::test_a_full_disk_leaves_the_existing_file",
            "tests/train/test_checkpoint.py::test_a_file_size_limit",
            "tests/pde/test_store.py::test_a_full_disk_is_explained",
            "tests/columns/test_store.py::test_resume_after_a_full_disk",
            "tests/columns/test_store.py::test_a_limit_on_the_size_of_files",
        ],
    ),
    "a dataset interrupted while it is generated": (
        "the generation resumes and gives the same bits",
        ["tests/pde/test_generate.py::test_an_interrupted_dataset_is_continued"],
    ),
    "two writers of one output, and owners of a lock that were killed": (
        "the second is refused, with the owner; the lock of a killed process is taken over",
        [
            "tests/storage/test_lock.py::test_a_second_writer_is_refused_and_a_killed_one_replaced",
            "tests/storage/test_lock.py::test_an_owner_on_another_host",
            "tests/storage/test_lock.py::test_a_file_system_without_locks",
            "tests/storage/test_lock.py::test_a_jump_of_the_clock_and_times_in_the_future",
        ],
    ),
    "files that would run code or read other files": (
        "one clear error, and nothing is run or read",
        [
            "tests/storage/test_hostile_files.py::test_codecs_of_zarr_that_could_run_code",
            "tests/storage/test_hostile_files.py::test_pickles_in_place_of_arrays",
            "tests/storage/test_hostile_files.py::test_pickles_in_a_checkpoint",
            "tests/storage/test_hostile_files.py::test_hdf5_that_reads_other_files",
            "tests/storage/test_hostile_files.py::test_symbolic_links_that_lead_out_of_a_store",
        ],
    ),
    "a capture that was cut off": (
        "its whole columns, and a warning that counts the others",
        ["tests/columns/test_cut_captures.py::test_the_whole_columns_are_read"],
    ),
    "a truncated wrfout file": (
        "one clear error",
        [
            "tests/wrf/test_reading.py::test_a_truncated_classic_file",
            "tests/wrf/test_reading.py::test_a_truncated_hdf5_file",
        ],
    ),
    "a network that diverges, before Corrected": (
        "the prediction is not used; the bound holds",
        [
            "tests/operators/test_corrected.py::test_predictions_of_a_diverged_network_are_not_used",
            "tests/operators/test_corrected.py::test_no_error_exceeds_its_bound",
        ],
    ),
    "singular, indefinite and incompatible problems": (
        "an error that names an algorithm that applies",
        [
            "tests/multigrid/test_amg.py::test_unsupported_problems_are_an_error_with_a_remedy",
            "tests/pde/test_direct.py::test_an_incompatible_problem_is_an_error_with_its_imbalance",
            "tests/pde/test_discretise.py::test_a_resonance_is_reported",
        ],
    ),
    "weights that are missing or damaged, inside a host": (
        "the host's scheme takes over, or the host stops cleanly",
        [
            "tests/coupling/scheme/test_settings.py::test_weights_that_are_missing_or_damaged",
            "tests/coupling/scheme/test_settings.py::test_after_a_failure_the_scheme_of_the_model_runs",
            "tests/coupling/test_modes.py::test_without_weights",
            "tests/coupling/test_command.py::test_damaged_weights",
        ],
    ),
    "weights files and namelists damaged at random": (
        "no crash, no read out of bounds",
        ["tests/coupling/test_weights.py::test_readers_do_not_crash_on_damaged_files"],
    ),
    "NaN in the state of a host": (
        "only its column is affected; the host's scheme computes it",
        [
            "tests/coupling/scheme/test_outputs.py::test_the_scheme_of_the_model_computes_invalid_columns",
            "tests/coupling/test_modes.py::test_invalid_columns",
            "tests/coupling/test_network.py::test_large_inputs_saturate_and_nan_stays_in_its_column",
            "tests/coupling/test_fortran_emulator.py::test_nan",
        ],
    ),
    "a host that restarts, or uses other tiles or another number of threads": (
        "the same bits",
        [
            "tests/coupling/test_modes.py::test_restart",
            "tests/coupling/test_modes.py::test_tiles_and_threads",
            "tests/coupling/scheme/test_outputs.py::test_the_same_bits_for_any_tiles_and_threads",
        ],
    ),
    "threads that make the first call together; wrong use of memory": (
        "no race, leak or error reported by the sanitizers and valgrind",
        [
            "tests/coupling/test_sanitizers.py::test_threads_do_not_race",
            "tests/coupling/test_sanitizers.py::test_addresses_and_behaviour_in_the_stand_in",
            "tests/coupling/test_sanitizers.py::test_valgrind_reports_no_errors",
        ],
    ),
    "a host of 8-byte REAL": (
        "an error message",
        ["tests/coupling/test_linking.py::test_a_host_with_eight_byte_reals_is_an_error"],
    ),
}


def cases(report: Path) -> dict[str, list[str]]:
    """Return the outcomes (passed, failed or skipped) of each test, with those of a parametrised test together."""
    outcomes: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        module = case.get("classname", "").replace(".", "/")
        name = case.get("name", "").split("[")[0]
        outcomes.setdefault(f"{module}.py::{name}", []).append(outcome)
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    given = parser.parse_args()
    named = [test for _, tests in FAULTS.values() for test in tests]
    with tempfile.TemporaryDirectory(prefix="sciml-faults-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junitxml={report}", *named]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        results = cases(report)
    rows = []
    for fault, (promise, tests) in FAULTS.items():
        outcomes = [outcome for test in tests for outcome in results.get(test, ["failed"])]
        counts = {kind: outcomes.count(kind) for kind in ("passed", "failed", "skipped")}
        rows.append({"fault": fault, "promise": promise, **counts})
        print(
            f"{fault:76}{counts['passed']:4} passed{counts['failed']:4} failed{counts['skipped']:4} skipped"
        )
    if given.json:
        given.json.write_text(json.dumps({"faults": rows}, indent=1) + "\n")
    if any(row["failed"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
