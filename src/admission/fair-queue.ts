/** What is asked for at once, or for whenever nobody else wants anything. */
export type Priority = 'interactive' | 'batch';

export const priorities: readonly Priority[] = ['interactive', 'batch'];

/** What stands in line. */
export interface Waiting {
  /** Who it is for; shares are equal between keys. */
  readonly keyId: string;
  readonly priority: Priority;
}

/** One key, as long as something of it waits or is served. */
interface Share<T> {
  /** In the order it came. */
  readonly waiting: T[];
  servedCount: number;
  /** What it was charged, from what the others had been charged when it came. */
  cost: number;
  /** When it last was served, counted in turns; 0 is never. */
  lastTurn: number;
}

/**
 * A line in which the next one is of the key that has cost least, so that keys that always want something
 * get equal shares and one that seldom does is served next. A key that comes does not get what it left
 * unused before: its account begins at the lowest of those that are there. Of one key, those that came
 * first are first. Interactive ones go before all of `batch`.
 *
 * After the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (2024).
 */
export class FairQueue<T extends Waiting> {
  readonly #shares = new Map<string, Share<T>>();
  #turn = 0;
  #size = 0;

  /** How many stand in line. */
  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#shareOf(item.keyId).waiting.push(item);
    this.#size += 1;
  }

  /** Takes one out of the line that is not served; does nothing when it is not there. */
  remove(item: T): void {
    const share = this.#shares.get(item.keyId);
    if (share === undefined) return;
    const index = share.waiting.indexOf(item);
    if (index === -1) return;
    share.waiting.splice(index, 1);
    this.#size -= 1;
    this.#forgetIdle(item.keyId, share);
  }

  /** Takes the next one out of the line to be served; call {@link end} when it is. */
  next(): T | undefined {
    let chosen: { readonly share: Share<T>; readonly item: T } | undefined;
    for (const share of this.#shares.values()) {
      const item =
        share.waiting.find(({ priority }) => priority === 'interactive') ?? share.waiting[0];
      if (item === undefined) continue;
      if (chosen === undefined || isBefore({ share, item }, chosen)) chosen = { share, item };
    }
    if (chosen === undefined) return undefined;
    const { share, item } = chosen;
    share.waiting.splice(share.waiting.indexOf(item), 1);
    this.#size -= 1;
    share.servedCount += 1;
    this.#turn += 1;
    share.lastTurn = this.#turn;
    return item;
  }

  /** One of the key is served no more. */
  end(keyId: string): void {
    const share = this.#shares.get(keyId);
    if (share === undefined) return;
    share.servedCount -= 1;
    this.#forgetIdle(keyId, share);
  }

  /** @param cost - below zero gives back what was charged too much */
  charge(keyId: string, cost: number): void {
    const share = this.#shares.get(keyId);
    if (share !== undefined) share.cost += cost;
  }

  #shareOf(keyId: string): Share<T> {
    const known = this.#shares.get(keyId);
    if (known !== undefined) return known;
    const costs = [...this.#shares.values()].map(({ cost }) => cost);
    const cost = costs.length === 0 ? 0 : Math.min(...costs);
    const share: Share<T> = { waiting: [], servedCount: 0, cost, lastTurn: 0 };
    this.#shares.set(keyId, share);
    return share;
  }

  #forgetIdle(keyId: string, { waiting, servedCount }: Share<T>): void {
    if (waiting.length === 0 && servedCount === 0) this.#shares.delete(keyId);
  }
}

interface Candidate<T> {
  readonly share: Share<T>;
  readonly item: T;
}

function isBefore<T extends Waiting>(a: Candidate<T>, b: Candidate<T>): boolean {
  if (a.item.priority !== b.item.priority) return a.item.priority === 'interactive';
  if (a.share.cost !== b.share.cost) return a.share.cost < b.share.cost;
  return a.share.lastTurn < b.share.lastTurn;
}
