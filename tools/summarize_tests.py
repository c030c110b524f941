#!/usr/bin/env python3
"""Says in one line each what a test run left out (single tests that skipped, by reason, and the slow tier) and what took longest.

usage: summarize_tests.py RESULTS.xml BUILD_FOLDER yes|no   (the last: did the slow tier run?)
"""
import collections
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

# GoogleTest prints "file:line: Skipped", the reason, an empty line, then "[  SKIPPED ] Suite.Name (0 ms)".
GOOGLE_SKIP = re.compile(r": Skipped\n(.*?)\n*\[  SKIPPED \] (\S+) \(\d+ ms\)", re.DOTALL)
GOOGLE_RUN = re.compile(r"^\[==========\] (\d+) tests? from .* ran\.", re.MULTILINE)
PYTHON_SKIP = re.compile(r"^(?:\S+ \(\S+\)(?:\n.*)?|.*) \.\.\. skipped '(.*)'$", re.MULTILINE)
PYTHON_RUN = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)


def count(results_path):
    """-> (tests that ran or skipped, Counter of reasons)"""
    total, reasons = 0, collections.Counter()
    for case in ElementTree.parse(results_path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        counted = [int(number) for number in GOOGLE_RUN.findall(output) + PYTHON_RUN.findall(output)]
        total += sum(counted) if counted else 1
        skipped = [reason.strip() for reason, _ in GOOGLE_SKIP.findall(output)] + PYTHON_SKIP.findall(output)
        for reason in skipped:
            first_line = (reason.splitlines() or ["no reason given"])[0]
            reasons[first_line.removeprefix("SKIPPED:").strip()] += 1
    return total, reasons


def slowest(results_path, most=10):
    """-> (seconds, program) of those that took longest, the longest first."""
    times = [(float(case.get("time", 0)), case.get("name")) for case in ElementTree.parse(results_path).getroot().iter("testcase")]
    return sorted(times, reverse=True)[:most]


def slow_tests(build_folder):
    listing = subprocess.run(["ctest", "--test-dir", build_folder, "-N", "-L", "^slow$"], capture_output=True, text=True,
                             check=False).stdout
    return re.findall(r"^\s*Test\s+#\d+: (\S+)", listing, re.MULTILINE)


def main():
    results_path, build_folder, slow_ran = sys.argv[1:4]
    total, reasons = count(results_path)
    if reasons:
        listed = "; ".join(f"{number} x {reason}" for reason, number in reasons.most_common())
        print(f"{sum(reasons.values())} of {total} single tests skipped: {listed}")
    else:
        print(f"{total} single tests ran, none skipped")
    print("slowest: " + ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slowest(results_path)))
    slow = slow_tests(build_folder)
    if slow and slow_ran != "yes":
        print(f"slow tier not run (./test --slow): {len(slow)} programs that need IMDB, the live Hugging Face packages or other runtimes: "
              + ", ".join(slow))


if __name__ == "__main__":
    main()
