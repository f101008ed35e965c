"""Text made comparable: how an answer is normalised and split before it is compared."""

import re
import string
import unicodedata

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation + "“”‘’«»…–—")


def normalise(text: str) -> str:
    """Without case, punctuation, English articles and extra white space.

    As the evaluation of SQuAD does: Pranav Rajpurkar et al., "SQuAD: 100,000+ questions for machine
    comprehension of text", EMNLP 2016, section 6.1. Before that Unicode is brought to one form
    (NFKC), so that full-width and composed characters compare equal.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(PUNCTUATION)
    return " ".join(ARTICLES.sub(" ", plain).split())
