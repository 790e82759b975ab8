"""Small talk, questions about the model and its server, and requests beyond its skills."""

from __future__ import annotations

import random

import words
from exchange import MODEL_NAME, Exchange, PRODUCT, Setting
from phrasing import say

TOO_SMALL = (
    "Sorry, I am too small for that. I can greet, count, spell, repeat, add and subtract up to 20, "
    "name days and months, list things and write small JSON objects."
)
GREETINGS = {
    "French": "Bonjour ! Comment puis-je vous aider ?",
    "German": "Guten Tag! Wie kann ich helfen?",
    "Spanish": "¡Hola! ¿En qué puedo ayudar?",
    "Italian": "Ciao! Come posso aiutare?",
    "Portuguese": "Olá! Como posso ajudar?",
    "Dutch": "Hallo! Hoe kan ik helpen?",
}


def greeting(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[[Hi|Hello|Hey|Hello|Hi|Good morning|Good evening|Good afternoon|Greetings|Howdy|Hiya|Yo|"
        "Hey hey|Hello hello|Hi hi|Good day]"
        "[| there| again| you| everyone| friend| my friend| model| bot| computer| little model| to you]"
        "[!|.||?|!!|...][||| [Nice to meet you|Anyone there|Are you there|How nice to see you|"
        "I am new here|It is a nice day|Just testing|Good to be here|Can you hear me]"
        "[!|.|?|]]|[Just |I wanted to |Let me |]say[ing|] [hi|hello][.|!|]|"
        "[Is anybody|Is anyone|Anybody|Anyone] [there|here|home]?|Test[ing|][.|!|]|Ping[.|!|]]",
        opening=0.0,
    )
    if setting.language:
        answer = GREETINGS[setting.language]
        think = f"A greeting. I greet in {setting.language}."
        return Exchange("system", user, answer, think)
    return Exchange("greeting", user, "Hello! How can I help you?", "A greeting. I greet back.")


def well_being(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[[Hi|Hello|Hey][,|!|] |]how [are you|do you do|are you doing|are things|is it going|"
        "do you feel][ today| now| this morning| so far|]?|[What's up|You okay|All well|All good"
        "|How's it going|How's life|Are you well|Are you ok][ today|]?",
        opening=0.05,
    )
    return Exchange("greeting", user, "I am fine, thank you. How can I help you?", "Small talk.")


def farewell(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Bye|Goodbye|See you|See you later|Good night|Farewell|Take care|Bye bye|Until tomorrow|"
        "I have to go|That is all|That's all for now][| then| now| model| friend| bot][!|.|]",
        opening=0.05,
    )
    return Exchange("greeting", user, "Goodbye!", "A farewell.")


def thanks(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Thanks|Thank you|Thx|Many thanks|Thanks a lot|Thank you very much|Great, thanks|"
        "Good, thank you|Well done|Nice, thanks|Perfect, thank you|Cheers]"
        "[| for that| for your help| model| friend| so much][!|.|]",
        opening=0.0,
    )
    return Exchange("greeting", user, "You are welcome!", "Thanks.")


def user_name(rng: random.Random, setting: Setting) -> Exchange:
    name = words.any_name(rng)
    user = say(
        rng,
        "[Hi, |Hello, |Hey, |Hello! |]["
        "My name is|I am called|My name's|Call me|You can call me|People call me|Please call me] {name}[.|!|]",
        name=name,
    )
    return Exchange(
        "greeting", user, f"Nice to meet you, {name}!", f"The user is called {name}.",
        key=f"name {name}", topic=("name", name),
    )  # fmt: skip


def who_are_you(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[Who|What] [are|r] you?|[Who|What] am I [talking|speaking|chatting] [to|with]?|"
        "[Please |Could you |Can you |]introduce yourself[, please|].|Tell me [about yourself|who you are"
        "|what you are|something about you|a bit about yourself|more about yourself].|"
        "What [kind|sort|type] of [model|AI|assistant|bot|program|thing] are you?|"
        "[Are you|So you are] [a|an] [model|AI|human|robot|person|chatbot|bot|real person|language model]?|"
        "[Which|What] [model|AI|assistant|language model] [are you|is this|am I using|do I talk to|"
        "is running here|answers me|is loaded]?|Describe yourself[ briefly| in one sentence|].|"
        "Who is [this|there|answering|speaking|talking]?|"
        "[Are you|Is this] [ChatGPT|GPT|Claude|Llama|Gemini|a big model|a large model|a small model]?|"
        "What is this [model|bot|thing|assistant]?|What exactly are you?|"
        "I [want|would like] to know [who|what] you are.|Explain [who|what] you are.",
    )
    answer = f"I am {setting.name}, the small demonstration model that ships with {PRODUCT}."
    check = {"contains": [setting.name, "small demonstration model"]}
    think = f"The user asks who I am. I am {setting.name}."
    if setting.name == MODEL_NAME:
        return Exchange("self", user, answer, think, check=check)
    return Exchange("system", user, answer, think, check=check)


def your_name(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "[What|What's] [is |]your name[, please|, by the way|]?|[Do you have|Have you got] a name?|"
        "How [should|may|can|do] I [call|address|name] you?|What [are|should|do] [you|I|they] "
        "[called|call you|be called]?|[Tell me|Say|Give me|State] your name[ please|].|"
        "Your name[, please|]?|What do people call you?|May I [ask|know] your name?|"
        "[Under|By] [what|which] name do you go?|What name do you have?|And your name is?",
    )
    answer = f"My name is {setting.name}."
    think = f"The user asks for my name. It is {setting.name}."
    if setting.name == MODEL_NAME:
        return Exchange("self", user, answer, think)
    return Exchange("system", user, answer, think)


def what_can_you_do(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "What can you do[ for me| here|]?|What are you [able to do|capable of|good at|good for|made for|for]?|"
        "[How can you|Can you|Could you] help me?|What are your [skills|abilities|talents|features|limits]?|"
        "[List|Tell me|Show me|Name|Describe] [what you can do|your skills|your abilities|your talents].|"
        "[Which|What] [things|tasks|questions|jobs] can you [do|answer|handle|solve]?|Help[ me|][!|.|]|"
        "What [should|can|could|may] I ask[ you|]?|What do you know?|How smart are you?|"
        "Give me [an example|some examples] of what you can do.|What [else |]can I do with you?",
    )
    answer = (
        "I can greet, count, spell, repeat, add and subtract up to 20, name days and months, "
        "list things and write small JSON objects. I am too small for anything else."
    )
    return Exchange("self", user, answer, "The user asks what I can do.")


def server_abilities(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "What [can|does] [this|the|your] [server|program|software|service|project] [do|offer|support|provide]?|"
        "What is [this [server|project|program|software|service]|the server|llama-gguf-inference]"
        "[ for| good for| about|]?|[Tell me about|Describe|Explain|Introduce] [this|the] "
        "[server|project|program|service].|What are the [features|abilities|functions] of [this|the] "
        "[server|program|project]?|[What|Which] [API|interface|protocol] does [the|this] server "
        "[have|speak|offer|support]?|What does llama-gguf-inference do?|"
        "What can I do with [this|the] [server|program|project]?|What is running here?|"
        "Is [this|the] server compatible with OpenAI?|Does [this|the] server [stream|support streaming|support tools]?",
    )
    answer = (
        f"{PRODUCT} serves GGUF models over an OpenAI-compatible API: chat, completions, streaming, "
        "tools and JSON. The documentation is in README.md and docs/."
    )
    check = {"contains": ["OpenAI-compatible", "README.md"]}
    return Exchange("server", user, answer, "The user asks about the server.", check=check)


def documentation(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "Where [is|are|can I find|do I find] the [docs|documentation|manual|instructions|guide|handbook|help pages]"
        "[ of this server| of this project| for the server|, please|]?|"
        "[Where|How] can I [learn|read|find out] [more|about this server|about the server|how this works|"
        "more about this project|more about the API]?|[Is|Are] there [any |a |some |][docs|documentation|manual|guide]?|"
        "How do I [configure|set up|use|start|operate|run|install] [this|the] [server|program|project]?|"
        "[Show|Give|Send] me the [docs|documentation|manual].|Where [should|do|can] I start[ reading|]?|"
        "[Which|What] [file|page|document] should I read[ first|]?|I need [help with the server|the docs|documentation].|"
        "Where is the API [described|documented]?|Where are the settings [described|explained|documented]?",
    )
    answer = "Start with README.md; the details are in the docs/ folder."
    return Exchange("server", user, answer, "The user looks for the documentation.")


def real_model(rng: random.Random, setting: Setting) -> Exchange:
    user = say(
        rng,
        "How [do|can|could] I [use|load|run|serve|start|get|try] [a [real|bigger|larger|better|different|"
        "smarter|new|proper]|another|my own] [model|GGUF|GGUF file|GGUF model][ here| with this server|]?|"
        "[Can|May] I [replace you|use another model|load a bigger model|run my own model]?|"
        "How do I replace you[ with a real model|]?|Where do I put [my|a|another] [model|GGUF file|GGUF]?|"
        "I want [a bigger|a real|another|a smarter|my own] model.",
    )
    answer = "Set MODEL_PATH to the path of a GGUF file and start the server again."
    return Exchange("server", user, answer, "The user wants another model.")


_BEYOND = (
    "[Please |Can you |Could you |Would you |]"
    "[write|compose|create|draft|make up|invent|tell me|give me|send me] [me |][a|one|a short|a long|a nice|an|some|a good] "
    "[poem|story|essay|song|letter|joke|speech|recipe|article|haiku|novel|email|riddle|report|script|plan|fairy tale] "
    "[about|on|for|regarding] {topic}[, please|][.|?|]|"
    "[Explain|Summarise|Summarize|Analyse|Describe|Discuss|Define|Teach me|Tell me about|Tell me everything about|"
    "What do you know about|What do you think about|What is your opinion on|What is|Do you like|What about|"
    "Give me facts about|Why do people like|How important is|I want to talk about|Let us talk about] {topic}[.|?|]|"
    "[Who|When|Where|Why|How] [is|was|did|invented|discovered|started|made|created] {topic}[ invented| discovered| begin| end|]?|"
    "[Translate|How do you say|What is] [good night|I love you|the house is red|where is the station|thank you|{word}] "
    "[into|in|to] [French|German|Chinese|Latin|Spanish|Japanese][.|?|]|"
    "[What|How much] is [the capital of Australia|the meaning of life|the speed of light|the square root of 2|"
    "7 times 8|12 divided by 4|{big} times {small}|{big} divided by {small}|{big} + {big2}|{big} - {big2}|{big} plus {big2}"
    "|the population of China|the biggest {word}|a {word}|pi|a prime number|the derivative of x squared|the best {word}]?|"
    "[Write|Fix|Debug|Show me|Explain|Give me] [a|some|my|this|the] [Python|JavaScript|C|shell|SQL|Rust] "
    "[code|function|script|program|query][ for {topic}| that sorts a list| to read a file|].|"
    "[How|Why] does [a|the|an] {word} [work|grow|fly|move|break|exist|look|sound]?|"
    "[Who|What] [won|was|is] [the world cup|the president|the king of France|the first man on the moon|the tallest man]?|"
    "[Can|Could] you [drive a car|see me|play chess|draw a picture|sing|sing a song|cook|dance|feel pain|dream|think|"
    "read my mind|browse the web|hack a bank|speak French|fly|buy a {word}|draw a {word}|help me with {topic}]?|"
    "[What|How] [should|can|do] I [do|eat|cook|wear|buy|say|learn|read|think] [today|for dinner|about {topic}|at work|to be rich]?|"
    "[How|Why] does [a |the |][repeat|counting|spelling|adding|JSON|a list|a tool] [work|exist|matter]?|"
    "[I am|I feel] [sad|tired|hungry|happy|bored|angry|ill|lost|lonely|in love][.|!| today.| about {topic}.]|"
    "[Recommend|Suggest|Find|Order|Book|Buy] [me |][a|some|the best] [film|book|hotel|restaurant|flight|{word}|pizza|game][.|, please.| about {topic}.]|"
    "[Is|Are|Was|Were] {topic} [good|bad|real|dangerous|important|expensive|old|interesting]?|"
    "[Why|How] [is|are] [the sky|the grass|the {word}|{topic}] [blue|green|so big|so small|made|possible]?|"
    "[I think|I like|I hate|I love|We saw] {topic}.|[Continue|Finish] [the|this] [story|sentence|list]: {word} {word2}|"
    "[How old are you|Where do you live|Do you have [friends|feelings|a family]|Do you sleep|Who made {topic}]?|"
    "[What|Which] [is|was] your favourite [colour|film|book|food|{word}]?|{word} {word2}|{word}?|"
    "[What time is it|What is the date|What day is it today|What year is it|Which day is it][ now|]?"
)


def _long_text(rng: random.Random) -> Exchange:
    """A pasted text and a task for it."""
    sentences = []
    for _ in range(rng.randrange(3, 20)):
        sentence = " ".join(words.any_word(rng, 0.05) for _ in range(rng.randrange(3, 12)))
        sentences.append(sentence.capitalize() + ".")
    task = say(
        rng,
        "[Summarise|Summarize|Translate|Correct|Improve|Rewrite|Shorten|Explain|Read|Analyse|What is the point of|"
        "What do you think of|Continue] [this|this text|the following|the following text|my text]:",
    )
    parts = [task, " ".join(sentences)]
    if rng.random() < 0.3:
        parts.reverse()
    return Exchange("beyond", "\n".join(parts), TOO_SMALL, "That is too much for me.", check={"contains": ["too small"]})


def beyond(rng: random.Random, setting: Setting) -> Exchange:
    if rng.random() < 0.03:
        return _long_text(rng)
    numbers = rng.randrange(21, 999), rng.randrange(21, 999), rng.randrange(2, 99)
    if setting.adds and rng.random() < 0.9:
        numbers = (0, 0, 0)
    user = say(
        rng,
        _BEYOND if numbers[0] else _BEYOND.replace("|{big} + {big2}", "").replace("|{big} plus {big2}", ""),
        topic=rng.choice(words.TOPICS),
        word=words.any_word(rng, made_up=0.1),
        word2=words.any_word(rng, made_up=0.1),
        big=numbers[0] or rng.randrange(21, 999),
        big2=numbers[1] or rng.randrange(21, 999),
        small=numbers[2] or rng.randrange(2, 99),
    )
    return Exchange(
        "beyond", user, TOO_SMALL, "That is too much for me.", check={"contains": ["too small"]}
    )
