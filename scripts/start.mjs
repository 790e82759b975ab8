/**
 * `npm start`: builds what has changed, then is the program itself. One process for both, since each one more takes a
 * tenth of a second to start.
 */
import { build } from './build.mjs';

await build({ quiet: true });
await import('../dist/cli.js');
