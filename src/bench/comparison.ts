import type { Cell } from './cell.ts';
import { median } from './statistics.ts';
import type { RoundSummary, RunSummary } from './summary.ts';

/** The server's numbers divided by its peer's: medians over the rounds, null where one of them is missing. */
export interface PeerRatios {
  readonly cell: Cell;
  readonly throughput: number | null;
  readonly decodeTokensPerSecond: number | null;
  readonly ttft: number | null;
  readonly interToken: number | null;
}

/** One comparison for each cell that both servers have run. */
export function compareWithPeer(
  own: readonly RunSummary[],
  peer: readonly RunSummary[],
): PeerRatios[] {
  return own.flatMap((run) => {
    const other = peer.find(({ cell }) => cell === run.cell);
    return other === undefined ? [] : compareRuns(run, other);
  });
}

/** Each ratio is of one round, so that its two runs are moments apart. */
function compareRuns(own: RunSummary, peer: RunSummary): PeerRatios {
  const ratio = (read: (round: RoundSummary) => number | null): number | null => {
    const ratios = own.rounds.flatMap((round, index) => {
      const other = peer.rounds[index];
      const [above, below] = [read(round), other === undefined ? null : read(other)];
      return above === null || below === null || below === 0 ? [] : [above / below];
    });
    return ratios.length === 0 ? null : median(ratios);
  };
  return {
    cell: own.cell,
    throughput: ratio((round) => round.throughputTokensPerSecond),
    decodeTokensPerSecond: ratio((round) => round.decodeTokensPerSecondP50),
    ttft: ratio((round) => round.ttftMsP50),
    interToken: ratio((round) => round.interTokenMsP50),
  };
}
