import { defineConfig } from 'vitest/config';

// Tests run the compiled code: npm test compiles first.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/support/fast-check-seed.ts'],
    // a process of its own per file: a fault of the native core takes no other test along
    pool: 'forks',
    // far more than any takes: slow machines are no failures
    testTimeout: 90_000,
    hookTimeout: 90_000,
    teardownTimeout: 10_000,
    reporters: ['default'],
  },
});
