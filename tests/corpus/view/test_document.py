"""A text is shown whole: what dedupe cut out of it stands where it was, with the rule that cut it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corpus.view.document import REDACTED, Span, _cut

TEXT = st.text("abçğıöşü \n", min_size=1, max_size=12)


@given(st.lists(st.tuples(TEXT, st.sampled_from(["kept", "removed", "new"])), max_size=6), st.data())
def test_passages_are_cut_out_of_the_kept_text_alone(
    parts: list[tuple[str, str]], data: st.DataObject
) -> None:
    made = {"kept": {}, "removed": {"cause": REDACTED}, "new": {"cause": REDACTED, "is_new": True}}
    spans = [Span(text, **made[kind]) for text, kind in parts]  # type: ignore[arg-type]
    kept = "".join(text for text, kind in parts if kind != "removed")
    borders = sorted(data.draw(st.sets(st.integers(0, len(kept)), max_size=6)))
    pairs = list(pairwise(borders))[::2]
    passages = [(len(kept[:low].encode()), len(kept[:high].encode()), "rule") for low, high in pairs]
    found = list(_cut(spans, passages))
    assert "".join(span.text for span in found) == "".join(text for text, _ in parts)
    assert [span for span in found if span.cause == REDACTED and not span.is_new] == [
        span for span, (_, kind) in zip(spans, parts, strict=True) if kind == "removed"
    ]
    cut = "".join(span.text for span in found if span.cause == "rule")
    assert cut == "".join(kept[low:high] for low, high in pairs)
