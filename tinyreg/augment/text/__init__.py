"""Text augmentation: synonyms, insertion, swap and deletion of words, and translation there and back.

Each function takes a string or a list of tokens and gives the same kind back. A token may carry
punctuation, as in "Happy,".
"""

from .edits import STOP_WORDS, random_deletion, random_insertion, random_swap, synonym_replacement
from .thesaurus import Thesaurus
from .translation import Apertium, back_translation
from .wordnet import WordNet

__all__ = [
    "STOP_WORDS",
    "Apertium",
    "Thesaurus",
    "WordNet",
    "back_translation",
    "random_deletion",
    "random_insertion",
    "random_swap",
    "synonym_replacement",
]


def __dir__() -> list[str]:
    return __all__
