/**
 * `npm start`: builds what has changed and then runs the program in the same process, because another process takes a
 * tenth of a second to start.
 */
import { build } from './build.mjs';

await build({ quiet: true });
await import('../dist/cli.js');
