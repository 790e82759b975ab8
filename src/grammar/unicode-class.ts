/** Characters of Unicode properties, such as `\p{L}`. */
import type { Ranges } from './grammar-node.ts';

/** Properties of which patterns may have the characters; each is scanned once in a process. */
const knownProperty =
  /^\\[pP]\{(?:(?:gc=|General_Category=)?(?:L[ultmo]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|M[nce]?|Letter|Number|Punctuation|Symbol|Separator|Mark|Uppercase_Letter|Lowercase_Letter|Decimal_Number)|(?:sc=|Script=|scx=|Script_Extensions=)(?:Latin|Greek|Cyrillic|Han|Hiragana|Katakana|Hangul|Arabic|Hebrew|Thai|Devanagari)|Alphabetic|Uppercase|Lowercase|White_Space|Emoji|Emoji_Component|Emoji_Presentation|Emoji_Modifier|Emoji_Modifier_Base|Regional_Indicator|RI|Extended_Pictographic|ASCII|ID_Start|ID_Continue)\}$/;

/**
 * The scanned code points: the basic plane without surrogates and private characters, and the emoji. A class has only
 * characters of these; the class of all others has the rest of these, so that neither has a character it must not have.
 */
export const scannedCharacters: Ranges = [
  [0x00, 0xd7ff],
  [0xf900, 0xfdcf],
  [0xfdf0, 0xffef],
  [0x1f000, 0x1faff],
];

const classes = new Map<string, Ranges>();

/** @throws {Error} for an unknown property; the message ends a sentence about the pattern */
export function unicodeClass(name: string): Ranges {
  const known = classes.get(name);
  if (known !== undefined) return known;
  if (!knownProperty.test(name)) {
    throw new Error(`has the property \`${name.slice(0, 40)}\`, which a grammar has no form for`);
  }
  const pattern = new RegExp(`^${name}$`, 'u');
  const ranges: [number, number][] = [];
  for (const [first, last] of scannedCharacters) {
    for (let code = first; code <= last; code++) {
      if (!pattern.test(String.fromCodePoint(code))) continue;
      const open = ranges.at(-1);
      if (open !== undefined && open[1] === code - 1) open[1] = code;
      else ranges.push([code, code]);
    }
  }
  classes.set(name, ranges);
  return ranges;
}
