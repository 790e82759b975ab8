/** Moves the reasoning of a reply to the place that its request asks for. */
import type { ReplyDelta } from '../../engine/generator.ts';
import type { ChoiceEnd, CompletionEvent } from '../generation/choice.ts';
import type { ReplyForm } from '../generation/reply.ts';
import type { ReasoningPlace } from './chat-reasoning.ts';

/** The marks of reasoning within content, as clients look for them. */
const openingMark = '<think>\n';
const closingMark = '\n</think>\n\n';

/** The form, which receives the reasoning as content or not at all. */
export function withReasoningIn(place: ReasoningPlace, form: ReplyForm): ReplyForm {
  if (place === 'separate') return form;
  const moved = place === 'hidden' ? withoutReasoning() : reasoningAsContent();
  if (form.stream) {
    const { framer } = form;
    return {
      stream: true,
      framer: {
        ping: framer.ping,
        failure: (error) => framer.failure(error),
        opening: () => framer.opening(),
        of: (choice, event) =>
          moved(choice, event)
            .map((each) => framer.of(choice, each))
            .join(''),
        end: (totals) => framer.end(totals),
      },
    };
  }
  const { collector } = form;
  return {
    stream: false,
    collector: {
      add: (choice, event) => {
        for (const each of moved(choice, event)) collector.add(choice, each);
      },
      build: (totals) => collector.build(totals),
    },
  };
}

/** The pieces and the end of a reply; the other events are of its prompt. */
function isOfReply(event: CompletionEvent): event is ReplyDelta | ChoiceEnd {
  return !['choice-begin', 'prompt-delta', 'prompt-progress'].includes(event.type);
}

type Move = (choice: number, event: CompletionEvent) => CompletionEvent[];

/** The ids of its tokens come with the next event of the choice: they count. */
function withoutReasoning(): Move {
  const idsOf = new Map<number, readonly number[]>();
  return (choice, event) => {
    if (!isOfReply(event)) return [event];
    const ids = [...(idsOf.get(choice) ?? []), ...(event.ids ?? [])];
    const isHidden = event.type === 'reasoning-delta';
    idsOf.set(choice, isHidden ? ids : []);
    if (isHidden) return [];
    return [ids.length > 0 ? { ...event, ids } : event];
  };
}

function reasoningAsContent(): Move {
  /** Choices whose reasoning is open. */
  const reasoning = new Set<number>();
  return (choice, event) => {
    if (event.type === 'reasoning-delta') {
      const text = reasoning.has(choice) ? event.text : openingMark + event.text;
      reasoning.add(choice);
      return [{ ...event, type: 'text-delta', text }];
    }
    if (!reasoning.has(choice) || !isOfReply(event)) return [event];
    // Reasoning that the limit cut stays open.
    if (event.type === 'choice-end' && event.finishReason === 'length') return [event];
    reasoning.delete(choice);
    if (event.type === 'text-delta') return [{ ...event, text: closingMark + event.text }];
    const closing: ReplyDelta = { type: 'text-delta', text: closingMark };
    return [closing, event];
  };
}
