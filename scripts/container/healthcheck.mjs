/**
 * Exits with 0 if the server of this container is alive, else with 1. It reads the health port from the environment only,
 * not from flags or a configuration file.
 */
const { HOST, PORT_HEALTH } = process.env;
const isAny = HOST === undefined || HOST === '' || HOST === '0.0.0.0' || HOST === '::';
const host = isAny ? '127.0.0.1' : HOST.includes(':') ? `[${HOST}]` : HOST;
const port = PORT_HEALTH === undefined || PORT_HEALTH === '' ? '8001' : PORT_HEALTH;

try {
  const reply = await fetch(`http://${host}:${port}/live`, { signal: AbortSignal.timeout(2500) });
  process.exitCode = reply.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
