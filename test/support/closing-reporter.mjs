const SKIPPED = new Set(['pending', 'skipped', 'disabled', 'todo']);

/** Jest reporter: which tests were skipped and why, then one last line that scripts can read. */
export default class ClosingReporter {
  onRunComplete(_contexts, results) {
    // A suite that could not run has no failed test of its own.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const lines = skippedTable(results.testResults);
    lines.push(`${results.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
    // Jest's own summary always comes after the last reporter.
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`));
  }
}

function skippedTable(suites) {
  const tests = suites.flatMap((suite) => suite.testResults).filter((test) => SKIPPED.has(test.status));
  if (tests.length === 0) return [];
  const rows = tests.map((test) => [reasonOf(test), test.title]);
  const width = Math.max(...rows.map(([reason]) => reason.length));
  return ['', 'Skipped tests:', ...rows.map(([reason, title]) => `  ${reason.padEnd(width)}  ${title}`), ''];
}

/** The text after "needs " in the title of the test or of a suite around it. */
function reasonOf(test) {
  for (const title of [test.title, ...test.ancestorTitles.toReversed()]) {
    const reason = /\bneeds (.+?)\)?$/.exec(title)?.[1];
    if (reason) return reason;
  }
  return 'no reason given';
}
