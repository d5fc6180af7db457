"""Runs the Python scenarios; the last line is `N passed, N failed, N skipped`. An argument selects by name."""

import sys
import unittest


def main():
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        loader.testNamePatterns = [f"*{sys.argv[1]}*"]
    suite = loader.discover(".")
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = [test for test, _ in result.failures + result.errors] + list(result.unexpectedSuccesses)
    for test in failed:
        print(f"note: FAILED {test.id() if hasattr(test, 'id') else test}")
    for test, why in result.skipped:
        print(f"note: skipped {test.id()}: {why}")
    passed = result.testsRun - len(failed) - len(result.skipped)
    print(f"{passed} passed, {len(failed)} failed, {len(result.skipped)} skipped")
    return bool(failed)


sys.exit(main())
