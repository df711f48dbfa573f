"""Easy questions, of which the right answer can be told without looking anything up.

Each line holds a question, the right answer and three wrong ones. The answers differ in length,
and the right one is neither always the shortest nor always the longest, so that it matters how
lengths are accounted for. `QUESTIONS` are asked; `EXAMPLES` stand before a question in prompts
that show the model some.
"""

from typing import NamedTuple

__all__ = ["EXAMPLES", "QUESTIONS", "Question"]


class Question(NamedTuple):
    """A question with its choices, the right one first."""

    text: str
    choices: tuple[str, ...]


def read(lines: str) -> list[Question]:
    r"""Return the questions of some lines.

    Examples
    --------
    >>> read("How many? | two; one; three; four")
    [Question(text='How many?', choices=('two', 'one', 'three', 'four'))]
    """
    rows = (line.split(" | ") for line in lines.strip().splitlines())
    return [Question(text, tuple(choices.split("; "))) for text, choices in rows]


QUESTIONS = read("""
What colour is grass? | green; red; blue; violet
What do bees make? | honey; bread; cotton; olive oil
Which animal barks? | dog; cat; cow; fish
How many legs has a spider? | eight; four; six; two
What is the capital of France? | Paris; London; Rome; Berlin
What is the opposite of hot? | cold; loud; early; heavy
What falls from clouds in winter? | snow; sand; leaves; coins
What do we use to cut paper? | scissors; a spoon; a pillow; a bottle of water
Which planet do we live on? | Earth; Mars; Venus; Jupiter
Where do fish live? | in water; in trees; in the desert sand; in nests
What do calves drink when they are born? | milk; coffee; orange juice; sea water
Why do people carry an umbrella? | to stay dry in the rain; to eat; to see better at night; to sing
Why do people wear a coat in winter? | to keep warm; to swim; to hear better; to grow taller
What does a baker make? | bread; shoes; clocks; windows
What is ice made of? | frozen water; glass; white sugar; dry sand
What do plants need to grow? | light and water; paint; music and dancing; coins
Which of these is a fruit? | banana; hammer; river; winter
What can you borrow from a library? | books; clouds; horses; mountains
What does a clock show? | the time; the weather; the price of bread; a smell
How many days has a week? | seven; five; ten; twelve
Which month comes after June? | July; May; March; October
What is two plus three? | five; four; six; nine
Which animal is the largest? | blue whale; cat; honey bee; horse
What do birds use to fly? | wings; roots; wheels; hands and feet
What pulls things towards the ground? | gravity; music; light; the colour of the sky
Who treats sick people? | doctor; baker; painter; bus driver
What is the sun? | a star; a planet; a cloud of white smoke; a mountain
Which of these melts in the sun? | ice cream; stone; iron; a wooden spoon
Where does the sun rise? | in the east; in the west; in the north of Norway; under water
What do you do with a pen? | write; sleep; cook soup; swim
Which sense belongs to the ears? | hearing; smell; taste; sight
What is the capital of Japan? | Tokyo; Madrid; Cairo; New York
Which language is spoken in Brazil? | Portuguese; Chinese; Russian; Swedish
What do caterpillars become? | butterflies; frogs; horses; small brown birds
What do we breathe? | air; milk; sand; warm soup
How many hours has a day? | twenty-four; seven; twelve; one hundred
What do teachers do? | they teach students; they fly; they repair engines; they sell fish
What is the opposite of up? | down; left of the house; soon; blue
Which animal has a trunk? | elephant; mouse; snake; duck
What do you wear on your feet? | shoes; hats; gloves; a belt
What do you need to open a locked door? | a key; a song; a glass of milk; a leaf
Where does wood come from? | trees; rivers; the moon; cows
What makes a car stop? | the brakes; the radio; the windows at the back; the colour
Which season is the coldest? | winter; summer; spring; autumn
What do we use to see? | eyes; elbows; knees; teeth
What does a thermometer measure? | temperature; weight; sound; the age of a person
What is a young dog called? | a puppy; a kitten; a calf; a chick
What do you put on a letter before you post it? | a stamp; a hat; butter and jam; a wheel
""")

EXAMPLES = read("""
What colour is a ripe tomato? | red; blue; black; silver
What do hens lay? | eggs; bricks; apples; small letters
Which animal says meow? | cat; horse; goose; snail
What is the capital of Italy? | Rome; Oslo; Paris; Lisbon
What is the opposite of big? | small; wet; yellow; quick and easy
What do we use to eat soup? | a spoon; a ladder; a clock; an old newspaper
Why do people sleep? | to rest; to travel; to find money; to cook
What is one plus one? | two; three; seven; ten
""")
