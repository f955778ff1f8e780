"""What is written into the document is what is read from it, and what fell is named."""
import pathlib
import tempfile
import unittest

import document
from table import Table

ROW = "create 4 KiB files, /s"
OTHER = "make -j2, files/s"


def run_of(kmsfs, null=1000.0, peer=400.0):
    rates = {"null": {ROW: [null], OTHER: [12.345]}, "gocryptfs": {ROW: [peer]}, "kmsfs": {ROW: [kmsfs, kmsfs + 1, 1.0]}}
    return {"about": {"date": "2026-01-01", "machine": "a machine", "commit": "1", "rounds": 3, "once": [], "command": "scripts/bench"},
            "rates": rates, "memory_kib": {"kmsfs": {ROW: [[2048, 4096]]}}, "failures": ["cryfs: nothing"]}


class DocumentTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name) / "document.md"
        self.path.write_text("before\n<!-- measured: tmpfs -->\nold\n<!-- end -->\nafter\n<!-- measured: ext4 -->\n<!-- end -->\n")

    def test_what_is_written_is_read_again(self):
        document.write(self.path, "tmpfs", run_of(12345.0))
        table = document.read(self.path, "tmpfs")
        self.assertEqual(table.columns, ["null", "gocryptfs", "kmsfs"])
        self.assertEqual(table.rates[ROW], {"null": 1000, "gocryptfs": 400, "kmsfs": 12345})
        self.assertEqual(table.rates[OTHER], {"null": 12.3})
        text = self.path.read_text()
        self.assertTrue(text.startswith("before\n") and "\nafter\n" in text and "old" not in text)
        self.assertIn("Left out: cryfs: nothing.", text)

    def test_writing_twice_is_writing_once(self):
        document.write(self.path, "tmpfs", run_of(900.0))
        once = self.path.read_text()
        document.write(self.path, "tmpfs", run_of(900.0))
        self.assertEqual(self.path.read_text(), once)

    def test_a_place_where_nothing_was_measured_has_no_table(self):
        self.assertIsNone(document.read(self.path, "ext4"))
        self.assertIsNone(document.read(self.path, "xfs"))

    def test_a_tenth_less_is_named_and_a_slower_machine_is_not(self):
        before = Table.of_run(run_of(900.0))
        self.assertEqual(document.fallen(before, Table.of_run(run_of(450.0, null=500.0, peer=200.0))), [])
        self.assertEqual(document.fallen(before, Table.of_run(run_of(820.0))), [])
        fell = document.fallen(before, Table.of_run(run_of(790.0)))
        self.assertEqual([sentence.split(": ")[1] for sentence in fell], [ROW, ROW])
        self.assertIn("0.79 of null, documented is 0.90", fell[0])

    def test_only_peers_of_both_runs_are_compared(self):
        before = Table.of_run(run_of(900.0))
        now = run_of(900.0)
        now["rates"]["securefs"] = {ROW: [5000.0]}
        self.assertEqual(document.fallen(before, Table.of_run(now)), [])


if __name__ == "__main__":
    unittest.main()
