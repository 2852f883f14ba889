"""How the conformance command reads what Autobahn and slowhttptest report."""

from tests.conformance.report import Verdict, describe, read_report, worse
from tests.conformance.slow import was_available

OK = Verdict("OK", "OK")
LOOSE = Verdict("NON-STRICT", "OK")
WRONG = Verdict("FAILED", "WRONG CODE")


def test_a_report_is_read_by_server_and_case() -> None:
    index = {"ours": {"7.1.5": {"behavior": "FAILED", "behaviorClose": "WRONG CODE", "reportfile": "x.json"}}}

    assert read_report(index) == {"ours": {"7.1.5": WRONG}}


def test_a_case_is_worse_by_its_answer_or_by_its_close_or_when_it_did_not_run() -> None:
    theirs = {"1": OK, "2": LOOSE, "3": OK, "4": OK, "5": WRONG, "6": Verdict("OK", "INFORMATIONAL")}
    ours = {"1": LOOSE, "2": OK, "3": Verdict("OK", "UNCLEAN"), "5": WRONG, "6": Verdict("OK", "unheard of")}

    assert worse(ours, theirs) == ["1", "3", "4", "6"]


def test_the_line_of_a_server_counts_its_cases_and_names_the_failed_ones() -> None:
    line = describe("ours", {"1.1": OK, "3.2": LOOSE, "7.1.5": WRONG, "7.1.6": Verdict("OK", "UNCLEAN")})

    assert line == (
        "ours: 4 cases: 2 OK, 1 NON-STRICT, 1 FAILED (7.1.5 FAILED, close: WRONG CODE; 7.1.6 OK, close: UNCLEAN)"
    )


def test_a_service_was_available_only_if_every_probe_was_answered() -> None:
    told = "\x1b[0;32mservice available:   \x1b[0mYES\n"

    assert was_available(told)
    assert not was_available(told + told.replace("YES", "NO") + told)
    assert not was_available("")
