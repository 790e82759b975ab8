/** Opens the folder in which responses are kept for later requests. */
import { ResponseStore } from '../api/responses/response-store.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from '../log/log.ts';

/** A folder that cannot be written does not prevent the start: responses are then not kept, and say so. */
export async function openResponses(
  place: Config['responses'],
  logger: Logger,
): Promise<ResponseStore | undefined> {
  if (place === undefined) return undefined;
  try {
    const store = await ResponseStore.open(place.folder, place);
    logger.info({ ...place, bytes: store.bytes }, 'responses are kept');
    return store;
  } catch (error) {
    logger.error({ err: error, ...place }, 'responses are not kept: their folder cannot be opened');
    return undefined;
  }
}
