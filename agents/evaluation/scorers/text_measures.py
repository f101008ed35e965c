"""How long and how readable an answer is: measures, or 1 and 0 for being within bounds."""

import re
from typing import Literal

from pydantic import Field, model_validator

from agents.evaluation.scorers.base import Absent, Fields, Found, Options, Scorer

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*")
SENTENCE_END = re.compile(r"[.!?…。！？]+(?=[\s\"'”’)\]]|$)|\n\s*\n")
_VOWELS = re.compile(r"[aeiouy]+")
_SILENT = re.compile(r"[^aeiouyl]e$|[aeiouy]le$|[^aeiouydt]ed$|[^aeiouycgsxz]es$")
_APART = re.compile(
    r"(?<![ct])ia(?!ge)|(?<![cglstx])io|eo(?=s?$)|(?<![gq])ua(?!r)|uie|eum|(?<=cr)ea(?=t)|"
    r"eing$|(?<=[aeiou].)ea$|(?<=sc)ie"
)


class Bounds(Options):
    """Without bounds the value is the measure itself, which belongs in no mean with others: give
    the scorer weight 0. With them it is 1 inside (bounds included) and 0 outside.
    """

    minimum: float | None = Field(None, allow_inf_nan=False)
    maximum: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _is_ordered(self) -> "Bounds":
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low > high:
            raise ValueError("minimum is above maximum")
        return self

    @property
    def given(self) -> bool:
        """Whether there are any."""
        return self.minimum is not None or self.maximum is not None

    def judge(self, measure: float, unit: str) -> Found:
        """The value that a measure gets."""
        shown = f"{measure:g} {unit}"
        if not self.given:
            return Found(measure, explanation=shown)
        if self.minimum is not None and measure < self.minimum:
            return Found(0.0, "below", f"{shown}, below {self.minimum:g}")
        if self.maximum is not None and measure > self.maximum:
            return Found(0.0, "above", f"{shown}, above {self.maximum:g}")
        return Found(1.0, "within", shown)


class LengthOptions(Bounds):
    """What is counted."""

    unit: Literal["words", "characters", "sentences", "lines"] = "words"


class ReadabilityOptions(Bounds):
    """`formula`: reading ease (100 very easy, 0 very hard) or US school grade. Both for English."""

    formula: Literal["flesch_reading_ease", "flesch_kincaid_grade"] = "flesch_reading_ease"


def length(answer: str, fields: Fields, options: LengthOptions) -> Found | Absent:
    """How many there are. Lines that hold only white space are none."""
    del fields
    match options.unit:
        case "words":
            count = len(WORD.findall(answer))
        case "characters":
            count = len(answer)
        case "sentences":
            count = sentences(answer)
        case "lines":
            count = sum(bool(line.strip()) for line in answer.splitlines())
    return options.judge(count, options.unit)


def readability(answer: str, fields: Fields, options: ReadabilityOptions) -> Found | Absent:
    """With words per sentence w and syllables per word s,

        reading ease = 206.835 - 1.015 w - 84.6 s
        grade        = 0.39 w + 11.8 s - 15.59

    Rudolf Flesch, "A new readability yardstick", Journal of Applied Psychology 32, 1948; J. Peter
    Kincaid et al., "Derivation of new readability formulas ... for Navy enlisted personnel", 1975.
    Syllables are estimated: see `syllables`.
    """
    del fields
    words = [word for word in WORD.findall(answer) if word[0].isalpha()]
    if not words:
        return Absent("the answer has no words to judge the readability of")
    if sum(word.isascii() for word in words) < 0.9 * len(words):
        return Absent(
            "Flesch's formulas are for English; most of these words are not in Latin letters"
        )
    w = len(words) / sentences(answer)
    s = sum(map(syllables, words)) / len(words)
    if options.formula == "flesch_reading_ease":
        return options.judge(206.835 - 1.015 * w - 84.6 * s, "reading ease")
    return options.judge(0.39 * w + 11.8 * s - 15.59, "grade")


def sentences(text: str) -> int:
    """Sentences by their end marks and by blank lines; 1 at least where there is a word."""
    return sum(1 for part in SENTENCE_END.split(text) if part and WORD.search(part))


def syllables(word: str) -> int:
    """An estimate for English: groups of vowels, less a silent end, plus pairs that are spoken
    apart (ra-di-o, cre-ate); 1 at least.
    """
    plain = re.sub(r"[^a-z]", "", re.sub(r"['’]s$", "", word.lower()))
    count = len(_VOWELS.findall(plain)) + len(_APART.findall(plain))
    return max(count - bool(_SILENT.search(plain)), 1)


LENGTH = Scorer("length", "1", LengthOptions, length, heavy=False, is_share=lambda o: o.given)
READABILITY = Scorer(
    "readability", "1", ReadabilityOptions, readability, heavy=False, is_share=lambda o: o.given
)
