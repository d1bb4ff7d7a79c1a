"""Translation into another language and back, which says the same in other words."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from ...arguments import number
from ...processes import finished
from .words import Text, check_text

LETTERS = {
    "ca": "cat", "cy": "cym", "da": "dan", "de": "deu", "en": "eng", "eo": "epo", "es": "spa", "eu": "eus", "fr": "fra",
    "gl": "glg", "is": "isl", "it": "ita", "nb": "nob", "nn": "nno", "oc": "oci", "pt": "por", "ro": "ron", "sv": "swe",
}  # fmt: skip
"""Codes of languages of two and of three letters: Apertium's pairs have changed from the first to the second."""


def back_translation(text: Text, there: Callable[[str], str], back: Callable[[str], str]) -> Text:
    """back(there(text)): the text translated into another language and back.

    text: a string, or a list of tokens, which is joined by spaces and split again. there, back: functions from a string to
    a string, such as `Apertium("en", "es")` and `Apertium("es", "en")`. An empty text stays as it is.
    Case and punctuation are as the translators leave them.

    Raises `TypeError` for what is neither a string nor a list of strings, also where a translator returns it, and for a
    translator that is no function, such as the code of a language.

    Source: Sennrich, Haddow and Birch, "Improving Neural Machine Translation Models with Monolingual Data", 2016.

    >>> from tinyreg.augment.text import back_translation
    >>> there = {"A big house.": "Una casa grande."}.get
    >>> back = {"Una casa grande.": "A large house."}.get
    >>> back_translation("A big house.", there, back)
    'A large house.'
    """
    check_text("back_translation", text)
    for name, translate in (("there", there), ("back", back)):
        if not callable(translate):
            raise TypeError(
                f"back_translation: got {translate!r:.80} as {name}, expected a function from a string to a string; for a "
                'language, pass Apertium("en", "es") and Apertium("es", "en")'
            )
    whole = text if isinstance(text, str) else " ".join(text)
    if not whole.strip():
        return text
    for translate in (there, back):
        whole, given = translate(whole), whole
        if not isinstance(whole, str):
            raise TypeError(
                f"back_translation: got {whole!r:.80} from {translate!r:.80} for {given!r:.80}, expected a string"
            )
    return whole if isinstance(text, str) else whole.split()


class Apertium:
    """A translator: the command-line program Apertium, for one pair of languages. Call it with a string.

    source, target: codes of languages as in `apertium -l`, of two or three letters. timeout: for how many seconds a call
    is waited for, above 0; as long again for every 10,000 characters. A sentence takes it about one second on a busy
    machine. Words that it does not know stay.

    Raises `FileNotFoundError` where the program is not there, and `ValueError` where it lacks the pair, each with what to
    install (Debian, Ubuntu: `apt-get install apertium apertium-en-es`); few of all pairs of languages exist, and
    `apt-cache search apertium-` lists them. Raises `TypeError` for a code or a text that is no string, `RuntimeError` where
    the program fails, and `TimeoutError` where it does not end in time: then it is stopped.

    Source: Forcada et al., "Apertium: a free/open-source platform for rule-based machine translation", 2011.
    """

    timeout: float
    source: str
    target: str

    def __init__(self, source: str, target: str, *, timeout: float = 10.0) -> None:
        self.timeout = number("Apertium", "timeout", timeout, least=1e-3, expected="seconds, above 0")
        for code in (source, target):
            if not isinstance(code, str):
                raise TypeError(f'Apertium: got {code!r:.80}, expected the code of a language, such as "en" or "eng"')
        self.source, self.target = source, target
        self._program = shutil.which("apertium") or ""
        package = f"apertium-{'-'.join(sorted((source, target)))} (`apt-cache search apertium-` lists the pairs that exist)"
        if not self._program:
            raise FileNotFoundError(
                f"Apertium: found no program apertium; install it and the pair: apt-get install apertium {package}"
            )
        known = self._run("-l").split()
        names = (f"{source}-{target}", f"{LETTERS.get(source, source)}-{LETTERS.get(target, target)}")
        self._mode = next((name for name in names if name in known), "")
        if not self._mode:
            raise ValueError(
                f"Apertium: got {source!r} to {target!r}, expected one of {', '.join(known) or 'no pairs at all'}; install "
                f"the pair: apt-get install {package}"
            )

    def __repr__(self) -> str:
        return f"Apertium({self.source!r}, {self.target!r})"

    def __call__(self, text: str) -> str:
        """The text in the other language."""
        if not isinstance(text, str):
            raise TypeError(f"{self!r}: got {text!r:.80}, expected a string; of a list of tokens, pass each or join them")
        return self._run("-u", self._mode, text=text)

    def _run(self, *arguments: str, text: str = "") -> str:
        timeout = self.timeout * (1 + len(text) // 10_000)
        done = finished([self._program, *arguments], timeout=timeout, program="Apertium", input=text)
        if done.returncode:
            raise RuntimeError(f"Apertium: {' '.join(arguments)} failed with {done.returncode}: {done.stderr.strip():.300}")
        return done.stdout
