import { terminal } from './io.ts';
import { run } from './run.ts';

// The exit is explicit: a connection that is still being tried must not keep the process.
process.exit(await run(process.argv.slice(2), terminal(), process.env));
