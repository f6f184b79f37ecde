import base from '../../jest.config.mjs';

/** The chaos suites start processes of their own and take minutes: one after the other, and not with the others. */
export default {
  ...base,
  rootDir: '../..',
  roots: ['<rootDir>/test/chaos'],
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 1,
  testTimeout: 300_000,
};
