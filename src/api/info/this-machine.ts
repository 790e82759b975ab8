import { GatewayError } from '../../core/errors.ts';

/**
 * Where authentication is off nobody has the scope `admin`, and being on this machine takes its place.
 * @param wish - completes "only this machine may ask for …"
 * @throws {GatewayError} `insufficient_scope`
 */
export function requireThisMachine(address: string, wish: string): void {
  if (isLoopback(address)) return;
  throw new GatewayError('insufficient_scope', {
    message: `Authentication is off, so that only this machine may ask for ${wish}.`,
  });
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./i.test(address);
}
