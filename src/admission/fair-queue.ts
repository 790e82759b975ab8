/** `batch` work is served only while no interactive work waits. */
export type Priority = 'interactive' | 'batch';

export const priorities: readonly Priority[] = ['interactive', 'batch'];

/** An item of the queue. */
export interface Waiting {
  /** The key whose share the item is charged to; shares are equal between keys. */
  readonly fairShareKey: string;
  readonly priority: Priority;
}

/** The account of one key, as long as an item of the key waits or is served. */
interface Share<T> {
  /** In the order of arrival. */
  readonly waiting: T[];
  servedCount: number;
  /** What the key was charged, starting from the lowest account at its arrival. */
  cost: number;
  /** The turn in which the key was served last; 0 is never. */
  lastTurn: number;
}

/**
 * A queue whose next item belongs to the key that has cost least. Keys that always want something get equal
 * shares, and a key that seldom wants something is served next. A key that arrives does not get what it left
 * unused before: its account begins at the lowest account present. Interactive items of any key precede `batch` items
 * of all keys. Within one key and priority, items are served in the order of arrival.
 *
 * After the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (2024).
 */
export class FairQueue<T extends Waiting> {
  readonly #shares = new Map<string, Share<T>>();
  #turn = 0;
  #size = 0;

  /** Items that wait. */
  get size(): number {
    return this.#size;
  }

  add(item: T): void {
    this.#shareOf(item.fairShareKey).waiting.push(item);
    this.#size += 1;
  }

  /** Removes an item that will not be served; does nothing when it does not wait. */
  remove(item: T): void {
    const share = this.#shares.get(item.fairShareKey);
    if (share === undefined) return;
    const index = share.waiting.indexOf(item);
    if (index === -1) return;
    share.waiting.splice(index, 1);
    this.#size -= 1;
    this.#forgetIdle(item.fairShareKey, share);
  }

  /** Removes the next item, to be served; call {@link end} when its service is over. */
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

  /** The service of one item of the key is over. */
  end(fairShareKey: string): void {
    const share = this.#shares.get(fairShareKey);
    if (share === undefined) return;
    share.servedCount -= 1;
    this.#forgetIdle(fairShareKey, share);
  }

  /** @param cost - a negative value gives back what was charged too much */
  charge(fairShareKey: string, cost: number): void {
    const share = this.#shares.get(fairShareKey);
    if (share !== undefined) share.cost += cost;
  }

  #shareOf(fairShareKey: string): Share<T> {
    const known = this.#shares.get(fairShareKey);
    if (known !== undefined) return known;
    const costs = [...this.#shares.values()].map(({ cost }) => cost);
    const cost = costs.length === 0 ? 0 : Math.min(...costs);
    const share: Share<T> = { waiting: [], servedCount: 0, cost, lastTurn: 0 };
    this.#shares.set(fairShareKey, share);
    return share;
  }

  #forgetIdle(fairShareKey: string, { waiting, servedCount }: Share<T>): void {
    if (waiting.length === 0 && servedCount === 0) this.#shares.delete(fairShareKey);
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
