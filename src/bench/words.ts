/** Common words, each a single token in most vocabularies behind a space. */
const words =
  `about above after again against along also always among animal another answer around back
because before began begin being below between body book both boat boy brought build call came carry cause
change children city clear close cold come could country course cover cut dark day deep different does done
door down draw during each early earth east eat enough even every example face fact fall family far farm
father feel feet few field figure final find fine fire first fish five follow food foot form found four free
friend front full game gave girl give gold good government great green ground group grow half hand hard have
head hear heart heat heavy help here high hold home horse hour house hundred idea inch interest island just
keep kind king knew know land language large last late laugh lead learn leave left letter life light like line
list listen little live long look love made main make many map mark measure men mile mind minute money moon
more morning most mother mountain move much music name near need never new next night north note nothing
notice number ocean off often old once one only open order other over own page paper part pass pattern people
person picture piece place plain plan plant point port power press problem product pull question quick rain
ran reach read ready real record red remember rest right river road rock room round rule run same science sea
second sentence serve several ship short should show side simple since sing size sleep slow small snow some
song soon sound south special stand star start state stay step still stood stop story street strong study such
sun sure surface table tail take talk teach tell ten test than their them then there these they thing think
thought thousand three through time together told took top toward town travel tree true turn two under unit
until usual very voice vowel walk want war warm watch water way week well went were west what wheel where which
while white whole wind winter with wonder wood word work world would write year young`.split(/\s+/);

/** Random numbers of at least 0 and below 1. */
interface Random {
  next(): number;
}

/** A number of random words, separated by spaces. */
export function randomText(random: Random, wordCount: number): string {
  return Array.from(
    { length: wordCount },
    () => words[Math.floor(random.next() * words.length)],
  ).join(' ');
}
