import base from '../../jest.config.mjs';

/** These suites look at what becomes of sagas, not at every event: the others do that. */
const reporters = base.reporters.filter((name) => !name.endsWith('events-reporter.mjs'));

/** The chaos suites start processes of their own and take minutes: one after the other, and not with the others. */
export default {
  ...base,
  reporters,
  rootDir: '../..',
  roots: ['<rootDir>/test/chaos'],
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 1,
  testTimeout: 300_000,
};
