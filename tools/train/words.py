"""Word lists of the dialogue generator, and made-up words."""

from __future__ import annotations

import random

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()

KINDS: dict[str, list[str]] = {
    "colours": "red blue green yellow orange purple black white".split(),
    "animals": "dog cat horse cow lion tiger rabbit bear".split(),
    "fruit": "apple banana orange pear grape cherry lemon mango".split(),
    "vegetables": "carrot potato onion tomato pea bean cabbage pepper".split(),
    "birds": "eagle owl robin swan duck crow pigeon parrot".split(),
    "countries": "France Germany Spain Italy Canada Brazil India Japan".split(),
    "drinks": "water tea coffee milk juice cocoa lemonade cider".split(),
    "tools": "hammer saw drill wrench file chisel pliers ruler".split(),
    "shapes": "circle square triangle rectangle oval star cube cone".split(),
    "sports": "football tennis swimming running golf rugby boxing hockey".split(),
}
KIND_NAMES: dict[str, list[str]] = {
    "colours": ["colours", "colors"],
    "animals": ["animals", "kinds of animal"],
    "fruit": ["fruits", "kinds of fruit", "pieces of fruit"],
    "vegetables": ["vegetables", "veggies"],
    "birds": ["birds", "kinds of bird"],
    "countries": ["countries"],
    "drinks": ["drinks", "beverages"],
    "tools": ["tools for the workshop", "hand tools"],
    "shapes": ["shapes"],
    "sports": ["sports"],
}

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
).split()

NAMES = (
    "Anna Ben Clara David Emma Frank Grace Henry Iris Jack Kate Leo Mia Noah Olivia Paul Rosa "
    "Sam Tina Victor Wendy Alice Bob Carol Dan Eve Fred Gina Hugo Ivy John Karl Laura Mark Nina "
    "Oscar Peter Rita Simon Tom Ursula Vera Zoe Aria Max Luna Felix Ruby Otto Ada Alan "
    "Pip Robin Sky Jasper Nova Milo Daisy Bruno Atlas Sage Juno Rex Coco Bella Toby Lily"
).split()

CITIES = (
    "Paris London Berlin Madrid Rome Vienna Prague Lisbon Dublin Oslo Stockholm Helsinki Warsaw "
    "Athens Budapest Brussels Amsterdam Zurich Geneva Munich Hamburg Cologne Milan Naples Turin "
    "Venice Florence Lyon Seville Porto Moscow Kyiv Istanbul Ankara Cairo Tunis Lagos Nairobi "
    "Accra Dakar Delhi Mumbai Chennai Lahore Dhaka Bangkok Hanoi Jakarta Manila Seoul Tokyo Osaka "
    "Kyoto Beijing Shanghai Sydney Melbourne Perth Auckland Toronto Montreal Vancouver Boston "
    "Chicago Denver Dallas Houston Austin Miami Seattle Portland Phoenix Detroit Atlanta Lima Quito "
    "Bogota Caracas Santiago Havana Bristol Leeds York Oxford Cambridge Glasgow Cardiff Belfast "
    "Bergen Aarhus Malmo Tampere Riga Vilnius Tallinn Krakow Gdansk Split Zagreb Sofia Varna Graz"
).split()
TWO_WORD_CITIES = [
    "New York", "San Francisco", "Los Angeles", "Cape Town", "Hong Kong", "Buenos Aires",
    "Mexico City", "San Diego", "New Delhi", "Tel Aviv", "Las Vegas", "Kuala Lumpur", "New Orleans",
    "Santa Fe", "San Jose", "San Juan", "San Marino", "Sao Paulo", "Abu Dhabi", "Addis Ababa", "Cape Coast",
    "Fort Worth", "Saint Louis", "Panama City", "Quebec City", "Port Louis", "East London", "Palo Alto",
]  # fmt: skip

WORDS = (
    "able acid actor adult agent air album alley almond amber angle ant apple arch area arm army arrow "
    "art ash atom aunt autumn axis baby badge bag bake balance ball bamboo banana band bank barn basket "
    "bath beach bean bear beauty bed bee bell belt bench berry bicycle big bird biscuit black blanket "
    "blue board boat body bone book boot border bottle bowl box boy brain branch brave bread breeze brick "
    "bridge bright broom brother brown brush bubble bucket build bus butter button cabin cable cake calm "
    "camel camera camp candle canyon captain car card carpet carrot castle cat cave cellar chain chair "
    "chalk change cheese cherry chess chicken child circle clay clean clever clock cloud clover coast "
    "coat coffee coin cold comet copper coral corn corner cotton cousin cow crane cream creek crisp crown "
    "crystal cup curtain cycle dance dark dawn deep deer desert desk diamond dinner dog doll door dove "
    "dragon dream dress drift drum duck dust eagle early earth east edge egg elbow elephant empty engine "
    "evening fabric face factory falcon family farm fast father feather fence fern field fig finger fire "
    "fish flag flame flat flower flute fly fog forest fork fox fresh frog frost funny game garden garlic "
    "gate gentle giant ginger glass globe glove goat gold goose grain grape grass gravel green grey "
    "guitar hall hammer hand happy harbour hat hawk hazel head heart heavy hedge helmet hen hill honey "
    "hope horse hotel hour house ice idea ink iron island ivory jacket jam jar jelly jewel joke journey "
    "juice jump jungle kettle key king kitchen kite kitten knee knife ladder lake lamp land lantern large "
    "laugh lava leaf lemon library light lily lime lion little lizard lock long lucky lunch machine "
    "magnet map maple marble market meadow melon memory metal milk mint mirror mist moment monkey moon "
    "moss mother mountain mouse mouth mud museum music mustard nail narrow needle nest net night noise "
    "north nose nut oak oasis ocean office oil olive onion orange orbit orchard otter oven owl oyster "
    "paint pair palace palm panda paper parade park parrot path peach pear pearl pebble pencil pepper "
    "piano picnic picture pillow pilot pine pink pirate planet plant plate plum pocket pond pony poppy "
    "potato present pretty prince pump pumpkin puppet puppy purple puzzle quarter queen quiet rabbit rain "
    "rapid raven red ribbon rice ring river road robin robot rock rocket roof room rope rose round ruby "
    "ruler saddle sail salad salmon salt sand scarf school sea seed shadow shark sheep shell ship shirt "
    "shoe silent silk silver simple sister sky sleep slow smoke snail snake snow soap sock soft soldier "
    "song soup south spark spider spoon spring square squirrel stable star station stone storm story "
    "street strong sugar summer sun sunset swan sweet swim table tail tall tea teacher temple tent "
    "thunder tiger toast tomato tower town toy train travel tree trumpet tulip tunnel turtle umbrella "
    "uncle valley vase velvet village violet violin voice wagon walk wall walnut warm watch water wave "
    "wax west whale wheat wheel whisper white wide wild willow wind window winter wise wolf wood wool "
    "world yacht yard yellow young zebra"
).split()

TOPICS = (
    "the sea|love|the moon|cats|space|history|the weather on Mars|football|politics|cooking|Paris|"
    "quantum physics|the stock market|my holiday|robots|dinosaurs|music|a lonely lighthouse|Rome|"
    "climate change|chess|gardening|the French Revolution|black holes|machine learning|friendship|"
    "medieval castles|the ocean|my boss|a dragon|autumn|bread|volcanoes|the brain|bicycles|trains|"
    "philosophy|Shakespeare|the Roman Empire|photosynthesis|gravity|taxes|dogs|birthdays|New York|"
    "sleep|whales|the internet|electricity|happiness|the economy|coffee|art|a broken heart|winter"
).split("|")



def copied_words() -> frozenset[str]:
    """Words that a user may ask to spell or to repeat, in lower case.

    None of them belongs to the phrases around them ("the day after", "what is the weather"): these are read whole.
    """
    cities = (part for city in [*CITIES, *TWO_WORD_CITIES] for part in city.split())
    return frozenset(word.lower() for word in (*WORDS, *NAMES, *cities))


def whole_words() -> list[str]:
    """Words of an ordered list that the model must know, in all their spellings."""
    named = [shown for name in (*DAYS, *MONTHS) for shown in (name, name.lower())]
    return [before + word for word in (*named, *NUMBER_WORDS) for before in ("", " ")]


_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gl gr pl pr sh sl sp st th tr qu".split()
_VOWELS = "a e i o u a e i o u ai ea ee oo ou y".split()
_CODAS = " | | | |n|r|l|s|t|m|d|k|p|ck|ll|ng|nt|st|rd|x|ss|b|g".split("|")


def made_up_word(rng: random.Random) -> str:
    """A pronounceable word that no list contains, so the model cannot memorise it."""
    syllables = rng.choice((1, 2, 2, 2))
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS).strip()
        for _ in range(syllables)
    )


def any_word(rng: random.Random, made_up: float = 0.35) -> str:
    return made_up_word(rng) if rng.random() < made_up else rng.choice(WORDS)


def any_name(rng: random.Random) -> str:
    return made_up_word(rng).capitalize() if rng.random() < 0.25 else rng.choice(NAMES)


def any_city(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.2:
        return made_up_word(rng).capitalize()
    if chance < 0.26:
        return f"{rng.choice(('New', 'San', 'Port', 'Saint', 'Fort', 'East', 'Los', 'Old'))} {made_up_word(rng).capitalize()}"
    return rng.choice(TWO_WORD_CITIES) if chance < 0.36 else rng.choice(CITIES)
