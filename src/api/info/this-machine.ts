import { GatewayError } from '../../core/errors.ts';

/**
 * Without authentication no caller has the scope `admin`; a loopback address takes its place.
 * @param wish - completes "only this machine may request …"
 * @throws {GatewayError} `insufficient_scope`
 */
export function requireThisMachine(address: string, wish: string): void {
  if (isLoopback(address)) return;
  throw new GatewayError('insufficient_scope', {
    message: `Authentication is off, so only this machine may request ${wish}.`,
  });
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./i.test(address);
}
