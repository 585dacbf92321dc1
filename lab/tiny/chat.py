"""Text-only lessons: greetings, what the model is and can do, small sums, repeating, honest refusals."""

import random

from . import words
from .question import Question

# Only what the shipped checkpoint truly does; to be widened together with what the examination confirms.
ABLE = "I can name, count and locate the shapes in simple drawings, find things on simple screens and tell what happens in short clips. I read single words at best."
REFUSAL = "I am a very small model. I can only answer simple questions about pictures."
FIXED = [    # what is said, the answer, the thought before it
    (["Hello", "Hello!", "Hi", "Hi!", "Hey", "Good morning", "Good evening", "hello", "hi", "Hello there"], "Hello! How can I help you?", "The user greets me."),
    (["Who are you?", "What are you?", "What is your name?", "who are you", "Tell me about yourself."],
     "I am weft's tiny vision language model.", "The user asks who I am."),
    (["What can you do?", "what can you do", "Help", "How can you help me?", "What are you able to do?", "What do you know?"], ABLE, "The user asks what I can do."),
    (["Thank you", "Thanks", "Thanks!", "Thank you!", "thanks"], "You are welcome!", "The user thanks me."),
    (["Bye", "Goodbye", "Goodbye!", "See you", "bye"], "Goodbye!", "The user says goodbye."),
    (["How are you?", "How are you doing?"], "I am fine, thank you. How can I help you?", "The user asks how I am."),
    (["Who wrote Hamlet?", "What is the capital of France?", "Write a poem.", "Tell me a joke.", "What is the weather today?",
      "Write a story about a dragon.", "Explain quantum physics.", "Translate this into German.", "Who is the president?",
      "Write a Python program.", "What is the meaning of life?", "How do I cook rice?", "Who won the game?",
      "What time is it?", "Give me advice.", "What is machine learning?", "Why is the sky blue?", "Write an email to my boss.",
      "Summarize the news.", "How old is the universe?"], REFUSAL, "This asks for more than I know."),
    (["What is in this picture?", "Describe the image.", "What does the sign say?", "What do you see?"],
     "I do not see a picture. Please add one.", "The user asks about a picture, but there is none."),
]


def recall(rng: random.Random, lines: int, invent) -> tuple[str, list[Question]]:
    """(filler text of `lines` lines with planted facts, questions for them). invent(rng) -> a word for a name.

    The same form at 8 lines and at 3,000: only the length grows, so the skill can be taught short and stretched.
    """
    planted = {}
    for _ in range(rng.randint(1, 3)):
        planted[f"{rng.choice(list(words.COLOURS))} {rng.choice(['door', 'box', 'key', 'room', 'card', 'car'])}"] = rng.choice([str(rng.randint(1000, 9999)), invent(rng).capitalize()])
    text = [" ".join(rng.choice(words.TRAIN_WORDS) for _ in range(rng.randint(4, 9))).capitalize() + "." for _ in range(max(lines, len(planted)))]
    for (thing, fact), at in zip(planted.items(), rng.sample(range(len(text)), len(planted))):
        text[at] = rng.choice([f"The code of the {thing} is {fact}.", f"Remember: the code of the {thing} is {fact}."])
    found = [Question("recall", rng.choice([f"What is the code of the {thing}?", f"Which code does the {thing} have?"]), f"The code of the {thing} is {fact}.", about=(thing, fact)) for thing, fact in planted.items()]
    return "\n".join(text) + "\n", found


def questions(rng: random.Random, count: int) -> list[Question]:
    """`count` text-only questions."""
    found = []
    for _ in range(count):
        pick = rng.random()
        if pick < 0.3:
            asked, answer, thought = rng.choice(FIXED)
            found.append(Question("chat", rng.choice(asked), answer, about=(thought,)))
        elif pick < 0.7:
            a, b = rng.randint(0, 12), rng.randint(0, 12)
            if rng.random() < 0.6:
                sign, name, result = "+", "plus", a + b
            else:
                a, b = max(a, b), min(a, b)
                sign, name, result = "-", "minus", a - b
            text = rng.choice([f"What is {a} {sign} {b}?", f"{a} {sign} {b}", f"What is {a} {name} {b}?", f"{a}{sign}{b}=?", f"How much is {a} {sign} {b}?"])
            found.append(Question("sum", text, f"{a} {sign} {b} = {result}.", about=(a, sign, b)))
        else:
            word = rng.choice(words.TRAIN_WORDS + words.SETTINGS) if rng.random() < 0.7 else words.invented(rng)
            found.append(Question("repeat", rng.choice([f'Repeat the word "{word}".', f'Say "{word}".', f'Repeat: "{word}"']), word, about=(word,)))
    return found
