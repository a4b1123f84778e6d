"""The checks of `multimodal.checks`, which raise the package's own error."""

from __future__ import annotations

from functools import partial

from multimodal import checks
from rerank.errors import InputError

check_number = partial(checks.check_number, error=InputError)
check_whole = partial(checks.check_whole, error=InputError)
check_text = partial(checks.check_text, error=InputError)
check_choice = partial(checks.check_choice, error=InputError)
check_is = partial(checks.check_is, error=InputError)
check_callable = partial(checks.check_callable, error=InputError)
path_of = partial(checks.path_of, error=InputError)
listed = partial(checks.listed, error=InputError)
texts_of = partial(checks.texts_of, error=InputError)
text_pairs = partial(checks.text_pairs, error=InputError)
numbers_of = partial(checks.numbers_of, error=InputError)
